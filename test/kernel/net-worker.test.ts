/** The net worker on a real kernel, in a network namespace of this process. Needs root, nsenter and busybox. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetNotice, SandboxResult } from '../../src/network/net-calls.ts';
import { type NetWorker, openNetWorker } from '../../src/network/net-worker-client.ts';
import {
  bridgeSpec,
  containerId,
  endpoint,
  endpointId,
  inhabit,
  inside,
  lookUp,
  moveToOwnHost,
  networkId,
  pings,
  port,
  sandboxSpec,
  serve,
  settings,
  traces,
} from './net-worker-world.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
let worker: NetWorker;
const notices: NetNotice[] = [];
const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

async function open(change: Partial<typeof settings> = {}): Promise<NetWorker> {
  const opened = openNetWorker();
  opened.onNotice((notice) => notices.push(notice));
  await opened.open({ ...settings, ...change });
  return opened;
}

/** The kernel destroys namespaces later. */
async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (holds()) return;
    await sleep(100);
  }
  assert.fail(`not within 10 s: ${what}`);
}

/** How much there is: names of links that are made ahead change. */
function amount(): string {
  const { links, descriptors } = traces();
  return `${links.length} links, ${descriptors} descriptors`;
}

/** What a listener says, or the error of the connection. */
function talk(address: string, hostPort: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(hostPort, address);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('end', () => resolve(text));
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  socket.setTimeout(3000, () => {
    socket.destroy();
    resolve('silence');
  });
  return promise;
}

before(async () => {
  if (skip) return;
  moveToOwnHost();
  worker = await open();
  await worker.ensureBridge(bridgeSpec(1));
  await worker.ensureBridge(bridgeSpec(2, { ipv6: false }));
});

after(async () => {
  if (!skip) await worker.close(false);
});

test('two containers reach each other by IPv4, IPv6 and name, and nothing is left when they go', { skip }, async () => {
  const [a, b] = [await worker.createSandbox(sandboxSpec(2)), await worker.createSandbox(sandboxSpec(3))];
  assert.deepEqual(a.endpoints, [{ id: endpointId(1, 2), macAddress: '02:42:0a:4d:01:02' }]);
  assert.deepEqual(
    a.keep.map(({ label }) => label),
    ['dns-udp', 'dns-tcp'],
  );
  assert.ok(await pings(a, '10.77.1.3'));
  assert.ok(await pings(b, 'fd77:1::2'));
  assert.ok(await pings(a, '10.77.1.1'), 'the gateway');
  assert.deepEqual(await lookUp(a, 'name3'), ['10.77.1.3']);
  assert.deepEqual(await lookUp(b, 'name2.net1'), ['10.77.1.2']);
  await worker.setNames(endpointId(1, 3), ['renamed']);
  assert.deepEqual(await lookUp(a, 'renamed'), ['10.77.1.3']);
  assert.deepEqual(await lookUp(a, 'name3'), []);
  const { links } = await worker.describe();
  assert.ok(links.includes('nw1'));
  await worker.removeSandbox(containerId(2));
  await worker.removeSandbox(containerId(3));
  await worker.removeSandbox(containerId(3));
  assert.equal((await worker.describe()).sandboxes, 0);
});

test('IPv4 alone: no IPv6 address on the bridge or in the container', { skip }, async () => {
  const spec = sandboxSpec(4, { endpoints: [endpoint(2, 4, { ipv6: false })], dns: null });
  const sandbox = await worker.createSandbox(spec);
  assert.deepEqual(sandbox.keep, []);
  assert.equal(await inside(sandbox, 'ip', '-6', 'addr', 'show', 'dev', 'eth0'), '');
  assert.equal(ip('-6', 'addr', 'show', 'dev', 'nw2'), '');
  assert.equal(readFileSync('/proc/sys/net/ipv6/conf/nw1/accept_ra', 'utf8').trim(), '0');
  assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1');
  assert.match(await inside(sandbox, 'ip', 'route'), /^default via 10\.77\.2\.1 dev eth0/);
  await worker.removeSandbox(spec.id);
});

test('MAC, MTU, name, sysctls and link-local addresses are as asked', { skip }, async () => {
  const change = {
    interfaceName: 'lan.0',
    mtu: 1400,
    macAddress: '02:00:00:00:00:77',
    linkLocal: ['169.254.7.7'],
    sysctls: { 'net.ipv4.conf.lan.0.log_martians': '1' },
  };
  const sandbox = await worker.createSandbox(sandboxSpec(5, { endpoints: [endpoint(1, 5, change)] }));
  const link = await inside(sandbox, 'ip', 'link', 'show', 'lan.0');
  assert.match(link, /mtu 1400/);
  assert.match(link, /02:00:00:00:00:77/);
  assert.match(await inside(sandbox, 'ip', 'addr', 'show', 'lan.0'), /169\.254\.7\.7\/16/);
  assert.equal((await inside(sandbox, 'cat', '/proc/sys/net/ipv4/conf/lan.0/log_martians')).trim(), '1');
  await worker.removeSandbox(containerId(5));
  for (const key of [
    'net.ipv4.conf.eth0.nope',
    'kernel.conf.eth0.core_pattern',
    'net.ipv4.conf.eth0.../../x',
    'net.ipv4.conf.eth9.log_martians',
  ]) {
    const wrong = sandboxSpec(5, { endpoints: [endpoint(1, 5, { sysctls: { [key]: '1' } })] });
    await assert.rejects(worker.createSandbox(wrong), { code: 'invalid' }, key);
  }
});

test('a re-used address with another MAC is known to the neighbours at once', { skip }, async () => {
  const a = await worker.createSandbox(sandboxSpec(6));
  for (const macAddress of ['02:00:00:00:00:01', '02:00:00:00:00:02']) {
    await worker.createSandbox(sandboxSpec(7, { endpoints: [endpoint(1, 7, { macAddress })] }));
    assert.ok(await pings(a, '10.77.1.7'), macAddress);
    await worker.removeSandbox(containerId(7));
  }
  await worker.removeSandbox(containerId(6));
});

test('published ports lead to the container; a conflict names the holder and leaves nothing', { skip }, async () => {
  const [first, second] = [endpoint(1, 8), endpoint(1, 9)];
  const a = await worker.createSandbox(sandboxSpec(8, { endpoints: [first], ports: [port(8080, first)] }));
  assert.deepEqual(
    a.ports.map(({ hostIp, hostPort, targetIp, mode }) => `${hostIp} ${hostPort} ${targetIp} ${mode}`),
    ['0.0.0.0 8080 10.77.1.8 nat', ':: 8080 fd77:1::8 nat'],
  );
  assert.ok(a.keep.some(({ label }) => label === 'port/tcp/0.0.0.0/8080'));
  const server = await serve(a, 'hello');
  assert.equal(await talk('127.0.0.1', 8080), 'hello');
  assert.equal(await talk('10.77.1.1', 8080), 'hello');
  assert.equal(await talk('::1', 8080), 'hello');
  // Everything before the port is done already when this fails.
  await sleep(300);
  const before = amount();
  const taken = sandboxSpec(9, { endpoints: [second], ports: [port(9090, second), port(8080, second)] });
  await assert.rejects(worker.createSandbox(taken), { code: 'conflict', message: /8080 failed: port is already allocated.*name8/ });
  await eventually('as before', () => amount() === before);
  assert.equal(await talk('127.0.0.1', 9090), 'ECONNREFUSED');
  assert.equal((await worker.describe()).sandboxes, 1);

  const changed = await worker.changePorts(containerId(8), [port(9090, first)], a.ports);
  assert.deepEqual(
    changed.ports.map(({ hostPort }) => hostPort),
    [9090, 9090],
  );
  assert.equal(await talk('127.0.0.1', 9090), 'hello');
  assert.equal(await talk('127.0.0.1', 8080), 'ECONNREFUSED');
  // What was withdrawn for a change that fails comes back.
  await assert.rejects(worker.changePorts(containerId(8), [port(1, first, { hostIp: '203.0.113.1' })], changed.ports), { code: 'invalid' });
  assert.equal(await talk('127.0.0.1', 9090), 'hello');
  server.kill();
  await worker.removeSandbox(containerId(8));
  assert.equal(await talk('127.0.0.1', 9090), 'ECONNREFUSED');
});

test('a running container joins and leaves networks; default routes follow', { skip }, async () => {
  const a = await worker.createSandbox(sandboxSpec(10, { dns: null }));
  const peer = await worker.createSandbox(sandboxSpec(11, { endpoints: [endpoint(2, 11, { ipv6: false })], dns: null }));
  const joined = endpoint(2, 10, { ipv6: false, interfaceName: 'eth1' });
  const [one, two] = [endpointId(1, 10), endpointId(2, 10)];
  const dns = { networks: [{ id: networkId(2), name: 'net2' }], links: {}, servers: [], forward: true, options: [] };
  const result = await worker.addEndpoint(containerId(10), joined, dns, { v4: two, v6: one });
  assert.deepEqual(
    result.keep.map(({ label }) => label),
    ['dns-udp', 'dns-tcp'],
  );
  assert.ok(await pings(result, '10.77.2.11'));
  assert.deepEqual(await lookUp(result, 'name11'), ['10.77.2.11']);
  assert.match(await inside(result, 'ip', 'route'), /default via 10\.77\.2\.1 dev eth1/);
  assert.match(await inside(result, 'ip', '-6', 'route'), /default via fd77:1::1 dev eth0/);
  await assert.rejects(worker.addEndpoint(containerId(10), joined, dns, { v4: two, v6: one }), { code: 'conflict' });
  // An address that no interface can have, after the interface was made.
  const wrong = endpoint(2, 12, {
    ipv6: false,
    interfaceName: 'eth2',
    v4: { address: '10.77.2.12', prefix: 99, gateway: '', isDefaultGateway: false },
  });
  await assert.rejects(worker.addEndpoint(containerId(10), wrong, dns, { v4: two, v6: one }));
  await eventually('no eth2', () => !readNet(result, 'dev').includes('eth2'));

  await worker.removeEndpoint(containerId(10), two, null, { v4: one, v6: one });
  assert.match(await inside(a, 'ip', 'route'), /default via 10\.77\.1\.1 dev eth0/);
  await eventually('no eth1', () => !readNet(a, 'dev').includes('eth1'));
  assert.ok(!(await pings(a, '10.77.2.11', 2)));
  // And all of it: a container may be on no network for a while.
  await worker.removeEndpoint(containerId(10), one, null, { v4: null, v6: null });
  assert.equal(await inside(a, 'ip', 'route'), '');
  await worker.addEndpoint(containerId(10), joined, null, { v4: two, v6: null });
  assert.ok(await pings(a, '10.77.2.11'));
  for (const host of [10, 11]) await worker.removeSandbox(containerId(host));
  assert.ok(peer.namespaceFd > 0);
});

test('macvlan: containers on one parent reach each other; a driver that the kernel lacks is said', { skip }, async () => {
  await worker.ensureParent({ networkId: networkId(5), driver: 'macvlan', parent: '', internal: true });
  const on = (host: number) =>
    sandboxSpec(host, {
      endpoints: [endpoint(5, host, { ipv6: false, link: { kind: 'macvlan', parent: '', mode: 'bridge' } })],
      dns: null,
    });
  const [a, b] = [await worker.createSandbox(on(20)), await worker.createSandbox(on(21))];
  assert.deepEqual(
    [a, b].map(({ endpoints }) => endpoints[0]?.macAddress),
    ['02:42:0a:4d:05:14', '02:42:0a:4d:05:15'],
  );
  assert.ok(await pings(a, '10.77.5.21'));
  await worker.removeSandbox(containerId(20));
  assert.ok(!(await pings(b, '10.77.5.20', 2)));
  await worker.removeSandbox(containerId(21));
  await worker.removeParent(networkId(5));
  assert.ok(!traces().links.some((name) => name.startsWith('gd-')));
  await assert.rejects(worker.ensureParent({ networkId: networkId(6), driver: 'macvlan', parent: 'nope0', internal: false }), {
    code: 'invalid',
  });
});

test('the host’s subnets are listed with ours marked; a route into one of ours is told', { skip }, async () => {
  const subnets = await worker.hostSubnets();
  const ours = subnets.find(({ subnet }) => subnet === '10.77.1.0/24');
  assert.ok(ours?.ours && ours.device === 'nw1' && ours.index > 0);
  assert.ok(
    subnets.some(({ subnet, device }) => subnet === '192.0.2.53/32' && device === ''),
    'the nameserver',
  );
  assert.ok(!subnets.some(({ subnet }) => /^(127|fe80|ff)/.test(subnet)));
  ip('link', 'add', 'vpn0', 'type', 'veth', 'peer', 'name', 'vpn1');
  ip('link', 'set', 'vpn0', 'up');
  ip('route', 'add', '10.77.1.128/25', 'dev', 'vpn0');
  assert.ok(
    (await worker.hostSubnets()).some(({ subnet, device, ours: mine }) => subnet === '10.77.1.128/25' && device === 'vpn0' && !mine),
  );
  await eventually('a notice', () =>
    notices.some((notice) => notice.kind === 'overlap' && notice.device === 'vpn0' && notice.networkId === networkId(1)),
  );
  ip('link', 'del', 'vpn0');
  assert.equal(notices.filter(({ kind }) => kind === 'overlap').length, 1);
});

test('bridges: foreign ones are left alone, ours are brought to what is wanted', { skip }, async () => {
  ip('link', 'add', 'nw8', 'type', 'bridge');
  await assert.rejects(worker.ensureBridge(bridgeSpec(8)), { code: 'conflict', message: /not ours/ });
  await worker.ensureBridge(bridgeSpec(8, { own: false }));
  assert.match(ip('addr', 'show', 'nw8'), /10\.77\.8\.1\/24/);
  await worker.removeBridge(networkId(8));
  assert.ok(traces().links.includes('nw8'));
  ip('link', 'del', 'nw8');
  await assert.rejects(worker.ensureBridge(bridgeSpec(8, { own: false })), { code: 'not-found' });
  await worker.ensureBridge(bridgeSpec(8));
  const mac = /ether (\S+)/.exec(ip('link', 'show', 'nw8'))?.[1];
  await worker.ensureBridge(bridgeSpec(8, { mtu: 1300, v6: null }));
  assert.match(ip('addr', 'show', 'nw8'), /mtu 1300/);
  assert.doesNotMatch(ip('addr', 'show', 'nw8'), /inet6/);
  assert.equal(/ether (\S+)/.exec(ip('link', 'show', 'nw8'))?.[1], mac);
  await worker.removeBridge(networkId(8));
  assert.ok(!traces().links.includes('nw8'));
});

test('restore: another worker takes over running containers with their sockets, and removes what belongs to nobody', { skip }, async () => {
  const [web, other] = [endpoint(1, 30), endpoint(1, 31)];
  const specs = [sandboxSpec(30, { endpoints: [web], ports: [port(8030, web)] }), sandboxSpec(31, { endpoints: [other] })] as const;
  const results = [await worker.createSandbox(specs[0]), await worker.createSandbox(specs[1])] as const;
  const lost = await worker.createSandbox(sandboxSpec(32));
  const inhabitants = [await inhabit(results[0]), await inhabit(results[1]), await inhabit(lost)] as const;
  const server = await serve(results[0], 'still here');
  await worker.close(true);
  assert.equal(await talk('127.0.0.1', 8030), 'still here');

  worker = await open();
  const outcomes = await worker.restore({
    bridges: [bridgeSpec(1), bridgeSpec(2, { ipv6: false })],
    parents: [],
    sandboxes: [0, 1].map((index) => ({
      spec: specs[index as 0 | 1],
      ports: results[index as 0 | 1].ports,
      pid: inhabitants[index as 0 | 1].pid,
      kept: { pid: inhabitants[index as 0 | 1].pid, descriptors: inhabitants[index as 0 | 1].kept },
    })),
  });
  const restored = outcomes.map((outcome) => ('result' in outcome ? outcome.result : assert.fail(outcome.problem)));
  const [a, b] = restored as [SandboxResult, SandboxResult];
  assert.deepEqual(a.keep.map(({ label }) => label).sort(), results[0].keep.map(({ label }) => label).sort());
  assert.equal(a.endpoints[0]?.macAddress, '02:42:0a:4d:01:1e');
  assert.equal(await talk('127.0.0.1', 8030), 'still here');
  assert.equal(await talk('::1', 8030), 'still here');
  assert.deepEqual(await lookUp(a, 'name31'), ['10.77.1.31']);
  assert.ok(await pings(b, '10.77.1.30'));
  // The third was not named: its interface is gone, although its namespace still lives.
  assert.ok(!(await pings(b, '10.77.1.32', 2)));
  await assert.rejects(worker.createSandbox(sandboxSpec(33, { endpoints: [other], ports: [port(8030, other)] })), { code: 'conflict' });
  for (const { process: child } of inhabitants) child.kill();
  server.kill();
  for (const spec of specs) await worker.removeSandbox(spec.id);
  assert.equal((await worker.describe()).sandboxes, 0);
});

test('restore: a daemon that died leaves its bridge and links; a container that is gone is a problem, not a failure', {
  skip,
}, async () => {
  const script = `
    const { openNetWorker } = await import(${JSON.stringify(new URL('../../src/network/net-worker-client.ts', import.meta.url).href)});
    const { bridgeSpec, settings, sandboxSpec, endpoint } = await import(${JSON.stringify(new URL('./net-worker-world.ts', import.meta.url).href)});
    const worker = openNetWorker();
    await worker.open({ ...settings, globalName: 'gantry-dead' });
    await worker.ensureBridge(bridgeSpec(9));
    const result = await worker.createSandbox(sandboxSpec(40, { endpoints: [endpoint(9, 40)] }));
    setTimeout(() => console.log('made', result.namespaceFd), 200);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', `(async () => {${script}})()`], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(traces().links.includes('nw9'));
  const heir = openNetWorker();
  await heir.open({ ...settings, globalName: 'gantry-dead' });
  const restored = { spec: sandboxSpec(41), ports: [], pid: child.pid ?? 0, kept: { pid: 0, descriptors: [] } };
  const [outcome] = await heir.restore({ bridges: [], parents: [], sandboxes: [restored] });
  assert.ok(outcome && 'problem' in outcome && /ENOENT/.test(outcome.problem), JSON.stringify(outcome));
  assert.ok(!traces().links.includes('nw9'));
  assert.ok(traces().links.includes('nw1'), 'what belongs to another daemon stays');
  await heir.close(false);
});

test('200 containers come and go: no link, socket or namespace stays', { skip }, async () => {
  await sleep(500);
  const before = amount();
  for (let round = 0; round < 4; round++) {
    const hosts = Array.from({ length: 50 }, (_, index) => 100 + index);
    const results = await Promise.all(
      hosts.map((host) => {
        const target = endpoint(1, host);
        return worker.createSandbox(sandboxSpec(host, { endpoints: [target], ports: [port(10_000 + host, target)] }));
      }),
    );
    assert.equal(new Set(results.map(({ namespaceFd }) => namespaceFd)).size, 50);
    if (round === 0) assert.ok(await pings(results[0] ?? assert.fail(), '10.77.1.149'));
    await Promise.all(hosts.map((host) => worker.removeSandbox(containerId(host))));
  }
  await eventually('as before', () => amount() === before);
  assert.ok(
    !notices.some((notice) => notice.kind === 'log' && notice.level === 'error'),
    JSON.stringify(notices.filter(({ kind }) => kind === 'log')),
  );
});

test('close(false) leaves nothing of ours', { skip }, async () => {
  await worker.createSandbox(sandboxSpec(50));
  await worker.close(false);
  await eventually('no links', () => traces().links.length === 0);
  assert.deepEqual(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' }), '');
  await assert.rejects(worker.describe(), { code: 'unavailable' });
  worker = await open();
});

function readNet({ namespaceFd }: SandboxResult, file: string): string {
  return execFileSync('nsenter', [`--net=/proc/${process.pid}/fd/${namespaceFd}`, 'cat', `/proc/net/${file}`], { encoding: 'utf8' });
}
