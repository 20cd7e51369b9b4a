/** Interfaces of the host that containers have while they run, on a real kernel, in a network namespace of this process. Needs root, nsenter and ip. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import type { NetNotice } from '../../src/network/net-calls.ts';
import { type NetWorker, openNetWorker } from '../../src/network/net-worker-client.ts';
import { bridgeSpec, containerId, inhabit, inside, moveToOwnHost, sandboxSpec, settings } from './net-worker-world.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
let worker: NetWorker;
const notices: NetNotice[] = [];
const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const names = (): readonly string[] => [...ip('-o', 'link').matchAll(/^\d+: ([^:@]+)/gm)].map(([, name = '']) => name);

async function open(): Promise<NetWorker> {
  const opened = openNetWorker();
  opened.onNotice((notice) => notices.push(notice));
  await opened.open(settings);
  await opened.ensureBridge(bridgeSpec(1));
  return opened;
}

before(async () => {
  if (skip) return;
  moveToOwnHost();
  worker = await open();
  // Their other ends stay on the host: not every kernel has dummies.
  for (const name of ['card0', 'card1']) ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `far-${name}`);
  ip('addr', 'add', '192.0.2.7/24', 'dev', 'card0');
  ip('link', 'set', 'card0', 'mtu', '1400', 'up');
});

after(async () => {
  if (!skip) await worker.close(false);
});

test('lendDevices: in the container with name, address and settings, and back as it was', { skip }, async () => {
  const sandbox = await worker.createSandbox(sandboxSpec(2));
  await worker.lendDevices(containerId(2), [
    { hostInterfaceName: 'card0', name: 'rdma0' },
    { hostInterfaceName: 'card1', name: 'card1' },
  ]);
  assert.match(await inside(sandbox, 'ip', 'addr', 'show', 'rdma0'), /,UP[\s\S]*mtu 1400[\s\S]*inet 192\.0\.2\.7\/24/);
  assert.ok(!names().includes('card0') && !names().includes('card1'));
  await inside(sandbox, 'ip', 'link', 'set', 'card1', 'down');
  await inside(sandbox, 'ip', 'link', 'set', 'card1', 'name', 'renamed');
  await worker.removeSandbox(containerId(2));
  assert.match(ip('addr', 'show', 'card0'), /,UP[\s\S]*mtu 1400[\s\S]*inet 192\.0\.2\.7\/24/);
  assert.doesNotMatch(ip('addr', 'show', 'card1'), /,UP/, 'it was down before');
});

test('lendDevices: what cannot be is named, and nothing has moved', { skip }, async () => {
  await worker.createSandbox(sandboxSpec(3));
  const lend = (...wishes: readonly (readonly [string, string])[]) =>
    worker.lendDevices(
      containerId(3),
      wishes.map(([hostInterfaceName, name]) => ({ hostInterfaceName, name })),
    );
  await assert.rejects(lend(['card0', 'ib0'], ['nowhere0', 'ib1']), /there is no network interface "nowhere0" on this host/);
  await assert.rejects(lend(['card0', 'eth0']), /"card0" into the container as "eth0": the container has an interface of that name/);
  await assert.rejects(lend(['card0', 'ib0'], ['card1', 'ib0']), /the container has an interface of that name/);
  await assert.rejects(lend(['lo', 'lo1']), /the loopback device cannot be moved/);
  await assert.rejects(lend(['nw1', 'x']), /it is one of our own/);
  await assert.rejects(lend(['card0', 'much-too-long-a-name']), /cannot be the name of a network interface/);
  await worker.removeSandbox(containerId(3));
  assert.match(ip('addr', 'show', 'card0'), /,UP[\s\S]*inet 192\.0\.2\.7\/24/);
});

test('restore: a daemon that died; the next one gives back at the end, and renames what the kernel gave back', { skip }, async () => {
  const spec = sandboxSpec(4);
  const result = await worker.createSandbox(spec);
  const lent = await worker.lendDevices(containerId(4), [{ hostInterfaceName: 'card0', name: 'rdma0' }]);
  const inhabitant = await inhabit(result);
  await worker.close(true);
  worker = await open();
  // As a card is after the death of its namespace: here under the container's name, and down.
  ip('link', 'set', 'card1', 'name', 'ib7');
  const [index = ''] = /^\d+/.exec(ip('-o', 'link', 'show', 'ib7')) ?? [];
  const back = { hostInterfaceName: 'card1', name: 'ib7', index: Number(index), up: true, master: 0, addresses: [] };
  const gone = { hostInterfaceName: 'card9', name: 'ib9', index: 4321, up: true, master: 0, addresses: [] };
  const kept = { pid: inhabitant.pid, descriptors: inhabitant.kept };
  const [outcome] = await worker.restore({
    bridges: [bridgeSpec(1)],
    parents: [],
    sandboxes: [{ spec, ports: [], pid: inhabitant.pid, kept, lent }],
    reclaimed: [back, gone],
  });
  assert.ok(outcome !== undefined && 'result' in outcome, JSON.stringify(outcome));
  assert.match(ip('link', 'show', 'card1'), /,UP/);
  assert.ok(notices.some((notice) => notice.kind === 'log' && notice.fields.interface === 'card9'));
  inhabitant.process.kill();
  await worker.removeSandbox(containerId(4));
  assert.match(ip('addr', 'show', 'card0'), /,UP[\s\S]*inet 192\.0\.2\.7\/24/);
});
