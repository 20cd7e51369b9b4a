/**
 * A machine with GPUs below a directory: what the NVIDIA driver (and those of AMD and Intel) show in /dev, /proc and /sys, and the files that it installs, as on
 * Debian. Used as `--device-root` and `--driver-root` of a daemon. The libraries are true ELF files that glibc loads; nothing is behind the device nodes.
 */
import { mkdirSync } from 'node:fs';
import { fakeAmd } from './fake-driver/amd.ts';
import { fakeIntel } from './fake-driver/intel.ts';
import { fakeNvidia } from './fake-driver/nvidia.ts';
import type { FakeDriver, FakeDriverOptions } from './fake-driver/options.ts';
import { FakeTree } from './fake-driver/tree.ts';

export type { FakeDriver, FakeDriverOptions, FakeGpu, FakePart, MissingPiece } from './fake-driver/options.ts';

export function makeFakeDriver(directory: string, options: FakeDriverOptions = {}): FakeDriver {
  mkdirSync(directory, { recursive: true });
  const tree = new FakeTree(directory, options.nodes ?? (process.getuid?.() === 0 ? 'mknod' : 'empty'));
  const nvidia = fakeNvidia(tree, options);
  const amd = fakeAmd(tree, options.amd ?? 0);
  const intel = fakeIntel(tree, options.intel ?? 0);
  tree.write('proc/devices', `Character devices:\n  1 mem\n${nvidia.majors}226 drm\n${amd.majors}\nBlock devices:\n259 blkext\n`);
  return { root: directory, ...nvidia.facts, amd: amd.gpus, intel: intel.gpus };
}
