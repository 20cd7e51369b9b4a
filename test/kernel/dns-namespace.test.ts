/** Needs root and `ip`: the resolver of a container whose sockets, and the servers that it names by --dns, are inside its network namespace. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { closeDescriptor } from '../../src/linux/file-calls.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../src/linux/network-namespace.ts';
import { bindInetSocket, openInetSocket } from '../../src/linux/sockets.ts';
import { DnsServer } from '../../src/network/dns/dns-server.ts';
import { question, readAnswer } from '../../src/network/dns/testing/dns-client.ts';
import { answerTo } from '../../src/network/dns/testing/fake-upstream.ts';

const port = 20_053;
const spec = { networks: [{ id: 'n1', name: 'net' }], links: {}, servers: [], forward: true, options: [] };

test('DNS of a container: answered inside its namespace, --dns asked from inside, the host’s from outside', async (t) => {
  const namespace = createNetworkNamespace();
  t.after(() => closeDescriptor(namespace));
  execFileSync('nsenter', [`--net=/proc/${process.pid}/fd/${namespace}`, 'ip', 'link', 'set', 'lo', 'up']);
  const bound = (protocol: 'udp' | 'tcp', number = 0, inside = true) => {
    const bind = () => bindInetSocket({ protocol, address: '127.0.0.1', port: number });
    const outcome = inside ? inNetworkNamespace(namespace, bind) : bind();
    return outcome.kind === 'bound' ? outcome : assert.fail(outcome.kind);
  };
  // Two servers on the same address and port, one inside and one outside.
  for (const [inside, address] of [
    [true, '192.0.2.1'],
    [false, '192.0.2.2'],
  ] as const) {
    const upstream = createSocket('udp4');
    upstream.on('message', (packet, from) => upstream.send(answerTo(packet, { addresses: [address] }), from.port, from.address));
    upstream.bind({ fd: bound('udp', port, inside).fd });
    t.after(() => upstream.close());
  }
  const directory = mkdtempSync(join(tmpdir(), 'dns-'));
  writeFileSync(join(directory, 'resolv.conf'), 'nameserver 127.0.0.1\n');
  const server = new DnsServer({ logger: silentLogger, resolvConf: join(directory, 'resolv.conf'), upstreamPort: port });
  t.after(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  server.addEndpoint({ id: 'e1', networkId: 'n1', sandboxId: 'c1', names: ['web'], ipv4: '10.1.0.2', ipv6: '' });
  const [udp, tcp] = [bound('udp'), bound('tcp')];
  await server.addSandbox('c1', spec, { udp: udp.fd, tcp: tcp.fd }, (family, protocol) =>
    inNetworkNamespace(namespace, () => openInetSocket(family, protocol)),
  );
  const client = createSocket('udp4');
  client.bind({ fd: inNetworkNamespace(namespace, () => openInetSocket(4, 'udp')) });
  t.after(() => client.close());
  const ask = (name: string) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    client.once('message', (bytes) => {
      const { rcode, answers } = readAnswer(bytes);
      resolve(answers[0]?.split(' ')[3] ?? `rcode ${rcode}`);
    });
    client.send(question(name, 'A'), udp.port, '127.0.0.1');
    return promise;
  };
  assert.equal(await ask('web'), '10.1.0.2');
  assert.equal(await ask('far.example'), '192.0.2.2');
  server.updateSandbox('c1', { ...spec, servers: ['127.0.0.1'] });
  assert.equal(await ask('far.example'), '192.0.2.1');
  // Internal: the host's is not asked; its own are, and what no route leads to fails at once.
  server.updateSandbox('c1', { ...spec, forward: false });
  assert.equal(await ask('far.example'), 'rcode 2');
  server.updateSandbox('c1', { ...spec, forward: false, servers: ['127.0.0.1'] });
  assert.equal(await ask('far.example'), '192.0.2.1');
  server.updateSandbox('c1', { ...spec, forward: false, servers: ['8.8.8.8'] });
  const start = Date.now();
  assert.equal(await ask('far.example'), 'rcode 2');
  assert.ok(Date.now() - start < 500, `${Date.now() - start} ms`);
});
