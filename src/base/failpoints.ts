/**
 * Named moments at which a test lets the daemon die, as if it were SIGKILLed there: each lies between two steps that must both be true, or both be repaired by the
 * next boot. Set `GANTRY_FAILPOINT=name` in the daemon's environment; unset, which is always outside tests, a failpoint is one comparison. The catalogue is data so that the crash
 * test can go through all of it and fail when one is never reached.
 */
export const failpoints = [
  'create.volumes-made',
  'create.directory-made',
  'create.recorded',
  'start.prepared',
  'start.process-runs',
  'start.recorded',
  'exit.known',
  'exit.recorded',
  'exit.told',
  'stop.signalled',
  'remove.marked',
  'remove.files-gone',
  'remove.record-gone',
  'exec.process-runs',
  'rename.recorded',
  'commit.paused',
  'commit.layer-staged',
  'commit.layer-stored',
  'commit.recorded',
  'archive.written',
  'network.made',
  'network.recorded',
  'network.record-gone',
  'connect.joined',
  'disconnect.left',
  'volume.directory-made',
  'volume.recorded',
] as const;

/** Of the registry server, which has its own crash test. */
export const registryFailpoints = [
  'registry.upload-hashed',
  'registry.blob-visible',
  'registry.blob-linked',
  'registry.manifest-recorded',
  'registry.collect-unlinked',
] as const;

/** Of a pull, which needs a registry: its crash test is its own too. */
export const pullFailpoints = ['pull.layers-unpacked', 'pull.layers-adopted', 'pull.blobs-written', 'pull.recorded'] as const;

/** Of a build, whose crash test is in test/build. */
export const buildFailpoints = [
  'build.step-started',
  'build.step-ended',
  'build.layer-sealed',
  'build.layer-recorded',
  'build.image-recorded',
] as const;

export type Failpoint =
  | (typeof failpoints)[number]
  | (typeof registryFailpoints)[number]
  | (typeof pullFailpoints)[number]
  | (typeof buildFailpoints)[number];

const armed = process.env.GANTRY_FAILPOINT || null;

/** Never returns when it is the armed one. */
export function failpoint(name: Failpoint): void {
  if (armed === name) process.kill(process.pid, 'SIGKILL');
}
