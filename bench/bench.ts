/**
 * `npm run bench`: the same work on us and on the peer (Debian's docker.io), in one run, interleaved; prints medians and the ratio, keeps the JSON in bench/results/.
 * Arguments are substrings of row names. Nothing else should run on the machine meanwhile; the ratio is what counts, times drift by ±40 %.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { runCommand, shell } from '../test/harness/command.ts';
import { type GantryDaemon, startGantry } from '../test/harness/gantry.ts';
import { loadBusybox } from '../test/harness/images.ts';
import { familyOf, type Peer, peerMissing, startPeer } from '../test/harness/peer.ts';
import { readOrEmpty } from '../test/harness/tolerant-read.ts';
import { buildRows } from './build-rows.ts';
import { deviceRows } from './device-rows.ts';
import { EngineClient } from './engine-client.ts';
import { imageRows } from './image-rows.ts';
import { compare, keep, record, root, selected, succeed } from './measure.ts';
import { networkRows } from './network-rows.ts';
import { registryRows } from './registry-rows.ts';

const missing = peerMissing();
if (missing !== null) {
  console.error(`bench ${missing}`);
  process.exit(1);
}
// Both in a network namespace of their own: what else this machine filters is in nobody's way.
const ownNetwork = ['unshare', '--net', '/bin/sh', '-c', 'ip link set lo up && exec "$@"', 'sh'] as const;
const [peer, gantry] = await Promise.all([startPeer(), startGantry({ bundled: true, wrapper: ownNetwork })]);
try {
  await loadBusybox(peer.host, gantry.host);
  await wholeRun();
  await apiLifecycle();
  await exec();
  await logThroughput();
  await idleMemory(peer, gantry);
  await networkRows({ gantry, peer });
  await buildRows({ gantry, peer });
  await imageRows(peer);
  await deviceRows(peer);
} finally {
  await gantry.dispose();
  await peer.stop();
}
await registryRows();
keep();

async function wholeRun(): Promise<void> {
  const args = ['run', '--rm', '--network', 'none', 'busybox', 'true'] as const;
  await compare('run --rm true, each with its own CLI', 0.25, 25, {
    ours: () => succeed([`${root}gantry`, '-H', gantry.host, ...args]),
    peer: () => succeed(['docker', '-H', peer.host, ...args]),
  });
  await compare('run --rm true, docker CLI on both', null, 25, {
    ours: () => succeed(['docker', '-H', gantry.host, ...args]),
    peer: () => succeed(['docker', '-H', peer.host, ...args]),
  });
}

async function apiLifecycle(): Promise<void> {
  const clients = { ours: new EngineClient(gantry.host), peer: new EngineClient(peer.host) };
  await compare('API create+start+wait+remove', 0.125, 40, {
    ours: () => clients.ours.lifecycle(),
    peer: () => clients.peer.lifecycle(),
  });
  clients.ours.close();
  clients.peer.close();
}

async function exec(): Promise<void> {
  for (const host of [gantry.host, peer.host])
    await succeed(['docker', '-H', host, 'run', '-d', '--name', 'bench-exec', '--network', 'none', 'busybox', 'sleep', '1000']);
  await compare('exec true, each with its own CLI', null, 25, {
    ours: () => succeed([`${root}gantry`, '-H', gantry.host, 'exec', 'bench-exec', 'true']),
    peer: () => succeed(['docker', '-H', peer.host, 'exec', 'bench-exec', 'true']),
  });
  const clients = { ours: new EngineClient(gantry.host), peer: new EngineClient(peer.host) };
  await compare('API exec create+start+inspect', null, 40, {
    ours: () => clients.ours.exec('bench-exec'),
    peer: () => clients.peer.exec('bench-exec'),
  });
  clients.ours.close();
  clients.peer.close();
  for (const host of [gantry.host, peer.host]) await succeed(['docker', '-H', host, 'rm', '-f', 'bench-exec']);
}

/** A container that prints 100 MB of 100-byte lines as fast as its log takes them. */
async function logThroughput(): Promise<void> {
  const megabytes = 100;
  const script = `yes ${'x'.repeat(99)} | head -c ${megabytes}m`;
  const timed = async (host: string): Promise<void> => {
    const started = await runCommand([
      'docker',
      '-H',
      host,
      'run',
      '-d',
      '--network',
      'none',
      '--log-opt',
      'max-size=200m',
      'busybox',
      'sh',
      '-c',
      script,
    ]);
    assert.equal(started.status, 0, started.stderr);
    const id = started.stdout.trim();
    await succeed(['docker', '-H', host, 'wait', id]);
    await succeed(['docker', '-H', host, 'rm', id]);
  };
  await compare(`log ${megabytes} MB in 100-byte lines`, null, 3, { ours: () => timed(gantry.host), peer: () => timed(peer.host) });
}

async function idleMemory(peerEngine: Peer, ourEngine: GantryDaemon): Promise<void> {
  if (!selected('idle memory')) return;
  const count = 20;
  const oursBefore = pssOf(ourFamily(ourEngine));
  const peerBefore = pssOf(peerEngine.pids());
  record('daemon idle (with launcher or containerd)', { unit: 'MB', ours: oursBefore / 1024, peer: peerBefore / 1024, samples: 1 });
  const measured: Record<string, { pss: number; kernel: number }> = {};
  for (const [name, host] of [
    ['ours', ourEngine.host],
    ['peer', peerEngine.host],
  ] as const) {
    const kernelBefore = kernelKilobytes();
    await succeed([
      '/bin/sh',
      '-c',
      `for i in $(seq ${count}); do docker -H ${host} run -d --network none busybox sleep 1000 || exit 1; done`,
    ]);
    measured[name] = { pss: monitorsOf(name === 'ours' ? ourFamily(ourEngine) : everyShim()), kernel: kernelKilobytes() - kernelBefore };
  }
  const ours = measured.ours ?? { pss: 0, kernel: 0 };
  const theirs = measured.peer ?? { pss: 0, kernel: 0 };
  const each = (kilobytes: number) => kilobytes / count / 1024;
  record('idle container: PSS of its monitor', { unit: 'MB', ours: each(ours.pss), peer: each(theirs.pss), samples: count });
  const kernel = { ours: each(ours.kernel), peer: each(theirs.kernel) };
  record('idle container: kernel memory (slab, stacks, page tables)', { unit: 'MB', ...kernel, samples: count });
  for (const host of [ourEngine.host, peerEngine.host]) await shell(`docker -H ${host} rm -f $(docker -H ${host} ps -aq)`);
}

/** Our daemon, its launcher and the monitors (the launcher is in a session of its own). */
function ourFamily(engine: GantryDaemon): number[] {
  const launcher = processesNamed('gantry-launcher').filter((pid) => commandLine(pid).includes(engine.execRoot));
  return [...new Set([...familyOf(engine.pid), ...launcher.flatMap(familyOf)])];
}

function everyShim(): number[] {
  return processesNamed('containerd-shim');
}

function monitorsOf(pids: readonly number[]): number {
  const monitors = pids.filter((pid) => /^(gantry-|containerd-shim)/.test(comm(pid)));
  return pssOf(monitors);
}

function processesNamed(prefix: string): number[] {
  return familyOf(1).filter((pid) => comm(pid).startsWith(prefix.slice(0, 15)));
}

function comm(pid: number): string {
  return readOrEmpty(`/proc/${pid}/comm`).trim();
}

function commandLine(pid: number): string {
  return readOrEmpty(`/proc/${pid}/cmdline`);
}

/** Proportional set size, kilobytes. */
function pssOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0), 0);
}

function kernelKilobytes(): number {
  const text = readFileSync('/proc/meminfo', 'utf8');
  return ['Slab', 'KernelStack', 'PageTables', 'Percpu'].reduce(
    (sum, name) => sum + Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0),
    0,
  );
}
