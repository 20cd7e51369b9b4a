/**
 * A container with the GPUs of a fake driver tree: ours by `--gpus all`; the peer has no toolkit here, so it is given the same nodes and files one by one, which is
 * what a person without the toolkit does (no links, no loader cache). The second row is what GPUs cost a start of ours.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CdiEdits, CdiSpec } from '../src/devices/cdi/cdi-spec.ts';
import { makeFakeDriver } from '../test/harness/fake-driver.ts';
import { startGantry } from '../test/harness/gantry.ts';
import { loadBusybox } from '../test/harness/images.ts';
import type { Peer } from '../test/harness/peer.ts';
import { compare, root, selected, succeed } from './measure.ts';

const withGpus = 'devices: run --rm with the whole of a fake driver, the peer given every node and file by hand';
const cost = 'devices: run --rm --gpus all ("ours") and without ("peer"), both Gantry';

/** Every library and program, as the peer is given them. */
const whole = 'all,"capabilities=compute,utility,video,graphics,display,ngx"';

const plain = ['run', '--rm', '--network', 'none'] as const;
const command = ['busybox', 'true'] as const;

export async function deviceRows(peer: Peer): Promise<void> {
  if (![withGpus, cost].some(selected)) return;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-devices-'));
  const { root: driver } = makeFakeDriver(join(directory, 'driver'), { gpus: 2 });
  const roots = ['--device-root', driver, '--driver-root', driver] as const;
  const gantry = await startGantry({ bundled: true, flags: roots });
  try {
    await loadBusybox(peer.host, gantry.host);
    const ours = [`${root}gantry`, '-H', gantry.host, ...plain] as const;
    const byHand = givenByHand(JSON.parse(await succeed([`${root}gantry`, 'device', 'generate', '--format', 'json', ...roots])) as CdiSpec);
    const run = (gpus: string) => succeed([...ours, '--gpus', gpus, ...command]);
    await compare(withGpus, null, 25, {
      ours: () => run(whole),
      peer: () => succeed(['docker', '-H', peer.host, ...plain, ...byHand, ...command]),
    });
    await compare(cost, null, 25, { ours: () => run('all'), peer: () => succeed([...ours, ...command]) });
  } finally {
    await gantry.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}

function givenByHand({ containerEdits, devices }: CdiSpec): string[] {
  const all = devices.find(({ name }) => name === 'all')?.containerEdits ?? {};
  return [containerEdits ?? {}, all].flatMap(({ deviceNodes = [], mounts = [] }: CdiEdits) => [
    ...deviceNodes.flatMap(({ path, hostPath = path }) => ['--device', `${hostPath}:${path}`]),
    ...mounts.flatMap(({ hostPath, containerPath }) => ['-v', `${hostPath}:${containerPath}:ro`]),
  ]);
}
