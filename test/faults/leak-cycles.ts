/** LEAK: containers created, started and removed again and again leave the daemon, the launcher and the host as they were. */
import assert from 'node:assert/strict';
import type { GantryDaemon } from '../harness/gantry.ts';
import { createContainer, engineCall, engineRequest } from './engine-request.ts';
import { containerCgroups, descriptorTargets, type Footprint, footprintOf, launcherOf, mountinfo, residueOf } from './residue.ts';

/** Ours after a while of the same work: what a garbage-collected heap may breathe. */
const daemonGrowthKb = 24 * 1024;
const launcherGrowthKb = 64;
/** Worker threads come and go with the work (about nine descriptors each); a leak in every third cycle of sixty is twenty. */
const workerThreads = 1;
const workerDescriptors = 12;

export interface LeakFigures {
  readonly cycles: number;
  readonly daemonBefore: Footprint;
  readonly daemonAfter: Footprint;
  readonly launcherBefore: Footprint;
  readonly launcherAfter: Footprint;
}

export async function leakCycles(daemon: GantryDaemon, cycles: number, warmUp: number): Promise<LeakFigures> {
  for (let index = 0; index < warmUp; index++) await cycle(daemon, index);
  await settled(daemon);
  const launcher = launcherOf(daemon);
  const [daemonBefore, launcherBefore, mountsBefore] = [footprintOf(daemon.pid), footprintOf(launcher), mountinfo().length];
  for (let index = 0; index < cycles; index++) await cycle(daemon, index);
  await settled(daemon);
  const [daemonAfter, launcherAfter] = [footprintOf(daemon.pid), footprintOf(launcher)];
  assert.equal(launcherOf(daemon), launcher, 'the launcher was replaced');
  assert.equal(mountinfo().length, mountsBefore, 'mounts in the host namespace');
  assert.deepEqual(containerCgroups(daemon), [], 'cgroups');
  assert.ok(
    daemonAfter.descriptors <= daemonBefore.descriptors + workerDescriptors,
    `descriptors of the daemon: ${descriptorTargets(daemon.pid).join(' ')}`,
  );
  assert.ok(
    launcherAfter.descriptors <= launcherBefore.descriptors,
    `descriptors of the launcher: ${descriptorTargets(launcher).join(' ')}`,
  );
  assert.ok(daemonAfter.threads <= daemonBefore.threads + workerThreads, 'threads of the daemon');
  assert.ok(
    daemonAfter.residentKb - daemonBefore.residentKb < daemonGrowthKb,
    `memory of the daemon: ${daemonBefore.residentKb} to ${daemonAfter.residentKb} KB`,
  );
  assert.ok(
    launcherAfter.residentKb - launcherBefore.residentKb < launcherGrowthKb,
    `memory of the launcher: ${launcherBefore.residentKb} to ${launcherAfter.residentKb} KB`,
  );
  return { cycles, daemonBefore, daemonAfter, launcherBefore, launcherAfter };
}

/** Every third is removed while it runs and was exec'd into, every third removes itself; all write something. */
async function cycle({ host }: GantryDaemon, index: number): Promise<void> {
  const kind = (['waited', 'forced', 'vanishing'] as const)[index % 3];
  const end = kind === 'forced' ? 'sleep 100' : 'sleep 0.02';
  const id = await createContainer(host, {
    name: `cycle-${index}`,
    command: ['sh', '-c', `echo out; touch /file; ${end}`],
    autoRemove: kind === 'vanishing',
  });
  await engineCall(host, 'POST', `/containers/${id}/start`);
  if (kind === 'forced') {
    const { Id: exec } = JSON.parse(await engineCall(host, 'POST', `/containers/${id}/exec`, { Cmd: ['true'] })) as { Id: string };
    await engineCall(host, 'POST', `/exec/${exec}/start`, { Detach: true });
    await engineCall(host, 'DELETE', `/containers/${id}?force=1`);
  }
  if (kind === 'waited') {
    await engineCall(host, 'POST', `/containers/${id}/wait`);
    await engineCall(host, 'DELETE', `/containers/${id}`);
  }
  if (kind === 'vanishing') await engineRequest(host, 'POST', `/containers/${id}/wait?condition=removed`);
}

async function settled(daemon: GantryDaemon): Promise<void> {
  assert.deepEqual(await residueOf(daemon), [], 'left behind');
}
