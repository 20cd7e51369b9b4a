import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../base/log.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { openProcess, takeDescriptor } from '../../linux/pidfd.ts';
import { bindInetSocket, openInetSocket } from '../../linux/sockets.ts';
import type { DnsSpec } from '../net-calls.ts';
import { DnsServer, type OpenUpstream } from './dns-server.ts';
import { askTcp, askUdp, question } from './testing/dns-client.ts';
import { answerTo, type FakeAnswer, type FakeUpstream, fakeUpstream } from './testing/fake-upstream.ts';

const spec: DnsSpec = { networks: [{ id: 'n1', name: 'net' }], links: {}, servers: [], forward: true, options: [] };
const yes: FakeAnswer = ({ packet }) => answerTo(packet, { addresses: ['192.0.2.1'] });
const silent: FakeAnswer = () => null;

function bound(protocol: 'udp' | 'tcp'): { readonly fd: number; readonly port: number } {
  const outcome = bindInetSocket({ protocol, address: '127.0.0.1', port: 0 });
  return outcome.kind === 'bound' ? outcome : assert.fail(outcome.kind);
}

interface Fixture {
  readonly server: DnsServer;
  readonly resolvConf: string;
  readonly upstreams: readonly FakeUpstream[];
  sandbox(id: string, spec: DnsSpec, open?: OpenUpstream): Promise<{ readonly udp: number; readonly tcp: number }>;
}

/** Upstreams stand on 127.0.7.1, 127.0.7.2 …, all on one port. */
async function fixture(t: TestContext, answers: readonly FakeAnswer[], options = ''): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'dns-'));
  const resolvConf = join(directory, 'resolv.conf');
  const upstreams: FakeUpstream[] = [];
  for (const [index, answer] of answers.entries())
    upstreams.push(await fakeUpstream(`127.0.7.${index + 1}`, upstreams[0]?.port ?? 0, answer));
  writeFileSync(resolvConf, `${upstreams.map(({ address }) => `nameserver ${address}\n`).join('')}${options}\n`);
  const server = new DnsServer({ logger: silentLogger, resolvConf, upstreamPort: upstreams[0]?.port ?? 53, pollMs: 200 });
  server.addEndpoint({ id: 'e1', networkId: 'n1', sandboxId: 'c1', names: ['web', 'svc'], ipv4: '10.1.0.2', ipv6: '' });
  server.addEndpoint({ id: 'e2', networkId: 'n1', sandboxId: 'c2', names: ['db', 'svc'], ipv4: '10.1.0.3', ipv6: 'fd00::3' });
  t.after(async () => {
    server.close();
    await Promise.all(upstreams.map((upstream) => upstream.close()));
    rmSync(directory, { recursive: true });
  });
  return {
    server,
    resolvConf,
    upstreams,
    async sandbox(id, sandboxSpec, open = openInetSocket) {
      const [udp, tcp] = [bound('udp'), bound('tcp')];
      await server.addSandbox(id, sandboxSpec, { udp: udp.fd, tcp: tcp.fd }, open);
      return { udp: udp.port, tcp: tcp.port };
    },
  };
}

test('DnsServer: names of the network by UDP and TCP; nothing of them is asked outside', async (t) => {
  const { sandbox, upstreams } = await fixture(t, [yes]);
  const ports = await sandbox('c1', spec);
  const first = await askUdp(ports.udp, question('SVC', 'A'));
  const second = await askUdp(ports.udp, question('svc', 'A'));
  assert.deepEqual(first?.answers.toSorted(), ['SVC A 600 10.1.0.2', 'SVC A 600 10.1.0.3']);
  assert.notDeepEqual(
    first?.answers.map((line) => line.toLowerCase()),
    second?.answers.map((line) => line.toLowerCase()),
  );
  assert.deepEqual((await askUdp(ports.udp, question('db.net.', 'AAAA')))?.answers, [`db.net AAAA 600 fd00${'0'.repeat(27)}3`]);
  for (const type of ['AAAA', 'MX', 'TXT', 'HTTPS'] as const) {
    const none = await askUdp(ports.udp, question('web', type));
    assert.deepEqual([none?.rcode, none?.answers], [0, []], type);
  }
  const pointer = question('2.0.1.10.in-addr.arpa', 'PTR');
  assert.deepEqual((await askUdp(ports.udp, pointer))?.answers, ['2.0.1.10.in-addr.arpa PTR 600 web.net']);
  const piped = await askTcp(ports.tcp, [question('web', 'A', { id: 1 }), question('db', 'A', { id: 2 })]);
  assert.deepEqual(
    piped.map(({ id, answers }) => [id, ...answers]),
    [
      [1, 'web A 600 10.1.0.2'],
      [2, 'db A 600 10.1.0.3'],
    ],
  );
  assert.deepEqual([upstreams[0]?.asked, upstreams[0]?.askedTcp], [[], []]);
});

test('DnsServer: bad questions get their codes', async (t) => {
  const { sandbox } = await fixture(t, [yes]);
  const { udp } = await sandbox('c1', spec);
  const two = question('web', 'A');
  two[5] = 2;
  assert.equal((await askUdp(udp, two))?.rcode, 1);
  const notify = question('web', 'A');
  notify[2] = 0x20;
  assert.equal((await askUdp(udp, notify))?.rcode, 4);
  const future = await askUdp(udp, question('web', 'A', { ednsSize: 512, ednsVersion: 1 }));
  assert.deepEqual([future?.rcode, future?.edns?.extendedRcode], [0, 1]);
});

test('DnsServer: the rest is forwarded as it came, under other ids and ports', async (t) => {
  const { sandbox, upstreams } = await fixture(t, [yes]);
  const { udp } = await sandbox('c1', spec);
  const sent = question('Example.ORG', 'A', { id: 77, ednsSize: 1400 });
  const answer = await askUdp(udp, sent);
  assert.deepEqual([answer?.id, answer?.question, answer?.answers], [77, 'Example.ORG', ['Example.ORG A 60 192.0.2.1']]);
  assert.deepEqual(upstreams[0]?.packets[0]?.subarray(2), sent.subarray(2));
  for (let round = 0; round < 12; round++) await askUdp(udp, question('example.org', 'A', { id: 77 }));
  const sources = upstreams[0]?.sources ?? [];
  assert.ok(new Set(sources.map(({ id }) => id)).size > 10);
  assert.equal(new Set(sources.map(({ port }) => port)).size, 4);
  assert.ok(sources.some(({ id }) => id !== 77));
});

test('DnsServer: what upstreams say passes: NXDOMAIN, truncation, then TCP', async (t) => {
  const { sandbox, upstreams } = await fixture(t, [
    ({ name, packet, protocol }) => {
      if (name === 'gone.example') return answerTo(packet, { rcode: 3 });
      return answerTo(
        packet,
        protocol === 'udp' ? { truncated: true } : { addresses: Array.from({ length: 60 }, (_, i) => `192.0.2.${i}`) },
      );
    },
  ]);
  const { udp, tcp } = await sandbox('c1', spec);
  assert.equal((await askUdp(udp, question('gone.example', 'A')))?.rcode, 3);
  assert.equal((await askUdp(udp, question('big.example', 'A')))?.truncated, true);
  assert.equal((await askTcp(tcp, [question('big.example', 'A', { id: 9 })]))[0]?.answers.length, 60);
  assert.deepEqual(upstreams[0]?.askedTcp, ['big.example']);
});

test('DnsServer: forged answers are not taken: id, question, source', async (t) => {
  const stranger = createSocket('udp4');
  t.after(() => stranger.close());
  const { sandbox } = await fixture(t, [
    ({ packet, from, server }) => {
      const id = packet.readUInt16BE(0);
      const evil = { addresses: ['192.0.2.66'] };
      server.send(answerTo(packet, { ...evil, id: id ^ 1 }), from?.port, from?.address);
      server.send(answerTo(packet, { ...evil, name: 'evil.example' }), from?.port, from?.address);
      server.send(packet, from?.port, from?.address);
      stranger.send(answerTo(packet, evil), from?.port, from?.address);
      setTimeout(() => server.send(answerTo(packet, { addresses: ['192.0.2.1'] }), from?.port, from?.address), 50);
      return null;
    },
  ]);
  const { udp } = await sandbox('c1', spec);
  assert.deepEqual((await askUdp(udp, question('a.example', 'A')))?.answers, ['a.example A 60 192.0.2.1']);
});

test('DnsServer: a dead upstream is passed over at once, and used again when it lives', async (t) => {
  let alive = false;
  const { sandbox, upstreams } = await fixture(t, [({ packet }) => (alive ? answerTo(packet, { addresses: ['192.0.2.7'] }) : null), yes]);
  const { udp } = await sandbox('c1', spec);
  const questions = Array.from({ length: 4 }, (_, index) => askUdp(udp, question(`q${index}.example`, 'A')));
  for (const answer of await Promise.all(questions)) assert.equal(answer?.answers.length, 1);
  const start = Date.now();
  assert.equal((await askUdp(udp, question('later.example', 'A')))?.answers.length, 1);
  assert.ok(Date.now() - start < 300, `${Date.now() - start} ms`);
  assert.equal(upstreams[0]?.asked.includes('later.example'), false);
  alive = true;
  await sleep(2100);
  await askUdp(udp, question('probe.example', 'A'));
  await sleep(20);
  assert.deepEqual((await askUdp(udp, question('again.example', 'A')))?.answers, ['again.example A 60 192.0.2.7']);
});

test('DnsServer: SERVFAIL, REFUSED and a closed port go on to the next at once', async (t) => {
  const refusing: FakeAnswer = ({ name, packet }) => answerTo(packet, { rcode: name.startsWith('a') ? 2 : 5 });
  const { sandbox, server, resolvConf, upstreams } = await fixture(t, [refusing, yes]);
  const { udp, tcp } = await sandbox('c1', spec);
  const start = Date.now();
  for (const name of ['a.example', 'b.example']) assert.equal((await askUdp(udp, question(name, 'A')))?.answers.length, 1, name);
  assert.equal((await askTcp(tcp, [question('a.example', 'A')]))[0]?.answers.length, 1);
  writeFileSync(resolvConf, 'nameserver 127.0.7.9\nnameserver 127.0.7.2\n');
  await sleep(500);
  assert.equal((await askUdp(udp, question('c.example', 'A')))?.answers.length, 1);
  assert.equal((await askTcp(tcp, [question('d.example', 'A')]))[0]?.answers.length, 1);
  assert.ok(Date.now() - start < 1200, `${Date.now() - start} ms`);
  server.updateSandbox('c1', { ...spec, servers: [upstreams[0]?.address ?? ''] });
  assert.deepEqual((await askUdp(udp, question('a.example', 'A')))?.rcode, 2);
});

test('DnsServer: all dead is SERVFAIL; timeout and attempts are obeyed', async (t) => {
  const { sandbox, upstreams } = await fixture(t, [silent], 'options timeout:1 attempts:1');
  const { udp } = await sandbox('c1', spec);
  const start = Date.now();
  assert.equal((await askUdp(udp, question('a.example', 'A')))?.rcode, 2);
  const took = Date.now() - start;
  assert.ok(took > 900 && took < 1600, `${took} ms`);
  assert.equal(upstreams[0]?.asked.length, 1);
  const own = await sandbox('c2', { ...spec, options: ['timeout:1', 'attempts:2'] });
  assert.equal((await askUdp(own.udp, question('b.example', 'A')))?.rcode, 2);
  assert.equal(upstreams[0]?.asked.length, 3);
});

test('DnsServer: a slow upstream is asked again, and its late answer counts', async (t) => {
  let first = true;
  const { sandbox, upstreams } = await fixture(t, [
    ({ packet, from, server }) => {
      if (first) setTimeout(() => server.send(answerTo(packet, { addresses: ['192.0.2.1'] }), from?.port, from?.address), 2000);
      first = false;
      return null;
    },
  ]);
  const { udp } = await sandbox('c1', spec);
  assert.equal((await askUdp(udp, question('slow.example', 'A')))?.answers.length, 1);
  assert.equal(upstreams[0]?.asked.length, 2);
});

test('DnsServer: internal: the host is never asked; servers of its own are, from inside', async (t) => {
  const { sandbox, server, upstreams } = await fixture(t, [yes, yes]);
  const opened: string[] = [];
  const open: OpenUpstream = (family, protocol) => {
    opened.push(`${protocol}${family}`);
    return openInetSocket(family, protocol);
  };
  const { udp, tcp } = await sandbox('c1', { ...spec, forward: false }, open);
  for (const name of ['example.org', 'nobody', 'x.net']) assert.equal((await askUdp(udp, question(name, 'A')))?.rcode, 2, name);
  assert.equal((await askTcp(tcp, [question('example.org', 'A')]))[0]?.rcode, 2);
  assert.equal((await askUdp(udp, question('web', 'A')))?.answers.length, 1);
  assert.deepEqual([upstreams.flatMap(({ asked, askedTcp }) => [...asked, ...askedTcp]), opened], [[], []]);
  server.updateSandbox('c1', { ...spec, forward: false, servers: ['127.0.0.11', upstreams[1]?.address ?? ''] });
  assert.equal((await askUdp(udp, question('own.example', 'A')))?.answers.length, 1);
  assert.equal((await askTcp(tcp, [question('own.example', 'A')]))[0]?.answers.length, 1);
  assert.deepEqual(opened, ['udp4', 'tcp4']);
  assert.deepEqual([upstreams[0]?.asked, upstreams[1]?.asked], [[], ['own.example']]);
});

test('DnsServer: --dns without a way to it fails at once', async (t) => {
  const { sandbox } = await fixture(t, [yes]);
  const broken = await sandbox('c1', { ...spec, servers: ['10.255.0.1'] }, () => {
    throw new Error('namespace is gone');
  });
  const start = Date.now();
  assert.equal((await askUdp(broken.udp, question('a.example', 'A')))?.rcode, 2);
  assert.equal((await askTcp(broken.tcp, [question('a.example', 'A')]))[0]?.rcode, 2);
  assert.ok(Date.now() - start < 500);
});

test('DnsServer: the host’s resolv.conf is followed, by writing, by rename and by link; what is under way is answered', async (t) => {
  const { sandbox, resolvConf } = await fixture(t, [
    ({ packet, from, server }) => {
      setTimeout(() => server.send(answerTo(packet, { addresses: ['192.0.2.1'] }), from?.port, from?.address), 300);
      return null;
    },
    ({ packet }) => answerTo(packet, { addresses: ['192.0.2.2'] }),
    ({ packet }) => answerTo(packet, { addresses: ['192.0.2.3'] }),
  ]);
  const { udp } = await sandbox('c1', spec);
  const answered = async (name: string) => (await askUdp(udp, question(name, 'A')))?.answers[0]?.split(' ')[3];
  const underWay = answered('a.example');
  writeFileSync(resolvConf, 'nameserver 127.0.7.2\n');
  assert.equal(await underWay, '192.0.2.1');
  await sleep(100);
  assert.equal(await answered('b.example'), '192.0.2.2');
  writeFileSync(`${resolvConf}.new`, 'nameserver 127.0.7.3\n');
  renameSync(`${resolvConf}.new`, resolvConf);
  await sleep(400);
  assert.equal(await answered('c.example'), '192.0.2.3');
  const target = join(mkdtempSync(join(tmpdir(), 'dns-')), 'stub');
  t.after(() => rmSync(join(target, '..'), { recursive: true }));
  writeFileSync(target, 'nameserver 127.0.7.2\n');
  rmSync(resolvConf);
  symlinkSync(target, resolvConf);
  await sleep(400);
  assert.equal(await answered('d.example'), '192.0.2.2');
  writeFileSync(target, 'nameserver 127.0.7.3\n');
  await sleep(400);
  assert.equal(await answered('e.example'), '192.0.2.3');
  rmSync(resolvConf);
  await sleep(400);
  assert.equal((await askUdp(udp, question('f.example', 'A')))?.rcode, 2);
});

test('DnsServer: names follow containers that come, are renamed and go; a removed sandbox is silent', async (t) => {
  const { sandbox, server } = await fixture(t, []);
  const { udp, tcp } = await sandbox('c1', { ...spec, links: { store: 'c2' } });
  assert.deepEqual((await askUdp(udp, question('store', 'A')))?.answers, ['store A 600 10.1.0.3']);
  server.setNames('e1', ['site']);
  assert.equal((await askUdp(udp, question('web', 'A')))?.rcode, 2);
  assert.equal((await askUdp(udp, question('site', 'A')))?.answers.length, 1);
  server.removeEndpoint('e2');
  assert.equal((await askUdp(udp, question('db', 'A')))?.rcode, 2);
  server.removeSandbox('c1');
  assert.equal(await askUdp(udp, question('site', 'A'), 150), null);
  await assert.rejects(askTcp(tcp, [question('site', 'A')]), { code: 'ECONNREFUSED' });
  await assert.rejects(
    server.addSandbox('c9', spec, { udp: 9_999, tcp: bound('tcp').fd }, openInetSocket),
    /cannot serve DNS to container c9/,
  );
});

test('DnsServer: upstreams by IPv6', async (t) => {
  const { resolvConf } = await fixture(t, []);
  const upstream = await fakeUpstream('::1', 0, yes);
  t.after(() => upstream.close());
  writeFileSync(resolvConf, 'nameserver ::1%lo\n');
  const six = new DnsServer({ logger: silentLogger, resolvConf, upstreamPort: upstream.port });
  t.after(() => six.close());
  const [udp, tcp] = [bound('udp'), bound('tcp')];
  await six.addSandbox('c1', spec, { udp: udp.fd, tcp: tcp.fd }, openInetSocket);
  assert.equal((await askUdp(udp.port, question('a.example', 'A')))?.answers.length, 1);
  six.updateSandbox('c1', { ...spec, servers: ['::1'] });
  assert.equal((await askUdp(udp.port, question('b.example', 'A')))?.answers.length, 1);
  assert.equal((await askTcp(tcp.port, [question('b.example', 'A')]))[0]?.answers.length, 1);
  assert.deepEqual([upstream.asked, upstream.askedTcp], [['a.example', 'b.example'], ['b.example']]);
});

test('DnsServer: one container has so many questions under way, and others their own', async (t) => {
  const { sandbox } = await fixture(t, [silent], 'options timeout:4 attempts:1');
  const { udp } = await sandbox('c1', spec);
  const other = await sandbox('c2', spec);
  const client = createSocket('udp4');
  t.after(() => client.close());
  const codes: number[] = [];
  client.on('message', (bytes) => codes.push((bytes[3] ?? 0) & 15));
  for (let count = 0; count < 1100; count++) {
    client.send(question(`q${count}.example`, 'A', { id: count }), udp, '127.0.0.1');
    // An answer to a name that is known says that all before it were read: the kernel drops what does not fit into a socket's queue.
    if (count % 25 === 0) await askUdp(udp, question('web', 'A'));
  }
  for (let waited = 0; waited < 3000 && codes.length < 1100 - 1024; waited += 20) await sleep(20);
  assert.deepEqual([codes.length, new Set(codes)], [1100 - 1024, new Set([5])]);
  assert.equal((await askUdp(udp, question('web', 'A')))?.answers.length, 1);
  assert.equal((await askUdp(other.udp, question('x.example', 'A')))?.rcode, 2);
});

test('DnsServer: rotate takes the servers in turn', async (t) => {
  const { sandbox, upstreams } = await fixture(t, [yes, yes], 'options rotate');
  const { udp } = await sandbox('c1', spec);
  for (let count = 0; count < 4; count++) await askUdp(udp, question('a.example', 'A'));
  assert.deepEqual(
    upstreams.map(({ asked }) => asked.length),
    [2, 2],
  );
});

test('DnsServer: garbage by UDP and TCP ends nothing and leaves no descriptor', async (t) => {
  const { sandbox, server } = await fixture(t, [yes]);
  const before = readdirSync('/proc/self/fd').length;
  const { udp, tcp } = await sandbox('c1', spec);
  const client = createSocket('udp4');
  const seed = question('web', 'A', { ednsSize: 1232 });
  for (let count = 0; count < 2000; count++) {
    const bytes = count % 2 === 0 ? randomBytes(count % 300) : Buffer.from(seed);
    if (count % 2 === 1) bytes[count % bytes.length] = count % 256;
    client.send(bytes, udp, '127.0.0.1');
    if (count % 100 === 0) await sleep(1);
  }
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = connect(tcp, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.end(randomBytes(700));
      socket.resume();
      await once(socket, 'close');
    }),
  );
  client.close();
  assert.equal((await askUdp(udp, question('web', 'A')))?.answers.length, 1);
  assert.equal((await askTcp(tcp, [question('web', 'A')]))[0]?.answers.length, 1);
  server.removeSandbox('c1');
  server.close();
  await sleep(200);
  assert.ok(readdirSync('/proc/self/fd').length <= before + 4, 'descriptors are left');
});

test('DnsServer: TCP: half-closed clients are answered, overlong questions end the connection', async (t) => {
  const { sandbox } = await fixture(t, [({ packet }) => answerTo(packet, { addresses: ['192.0.2.1'] })]);
  const { tcp } = await sandbox('c1', spec);
  const received = (bytes: Buffer) =>
    new Promise<number>((resolve) => {
      const socket = connect(tcp, '127.0.0.1');
      let length = 0;
      socket.on('data', (chunk) => {
        length += chunk.length;
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(length));
      socket.end(bytes);
    });
  const message = question('far.example', 'A');
  const framed = Buffer.concat([Buffer.from([0, message.length]), message]);
  assert.equal(await received(framed), 2 + message.length + 16);
  assert.equal(await received(Buffer.alloc(10, 0xff)), 0);
  // An answer where a question belongs: no reply, and nothing to wait for.
  const noQuestion = Buffer.from(message);
  noQuestion[2] = 0x80;
  assert.equal(await received(Buffer.concat([Buffer.from([0, message.length]), noQuestion])), 0);
  const trickled = connect(tcp, '127.0.0.1').setNoDelay();
  for (const byte of framed) {
    trickled.write(Buffer.of(byte));
    await sleep(1);
  }
  const [answer] = await once(trickled, 'data');
  trickled.destroy();
  assert.equal(answer.length, 2 + message.length + 16);
});

test('DnsServer: a question that comes while nobody serves is answered by the next server on the same sockets', async (t) => {
  const { server } = await fixture(t, []);
  const [udp, tcp] = [bound('udp'), bound('tcp')];
  const self = openProcess(process.pid);
  const kept = { udp: takeDescriptor(self, udp.fd), tcp: takeDescriptor(self, tcp.fd) };
  closeDescriptor(self);
  await server.addSandbox('c1', spec, { udp: udp.fd, tcp: tcp.fd }, openInetSocket);
  assert.equal((await askUdp(udp.port, question('web', 'A')))?.answers.length, 1);
  server.close();
  const waiting = [askUdp(udp.port, question('web', 'A')), askTcp(tcp.port, [question('web', 'A')]).then(([answer]) => answer)];
  await sleep(100);
  const next = await fixture(t, []);
  await next.server.addSandbox('c1', spec, kept, openInetSocket);
  for (const answer of await Promise.all(waiting)) assert.equal(answer?.answers.length, 1);
});
