/** The fake libnvidia-ml.so.1 (test/devices/fake-nvml.c): compiled once a process, and the file that it answers from. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NvmlGpu } from '../../src/devices/nvml/gpu-readings.ts';

const source = fileURLToPath(new URL('../devices/fake-nvml.c', import.meta.url));
const built = new Map<string, string>();

/** Path of the library, for `FakeDriverOptions.nvmlLibrary`. `old`: of a driver before MIG. */
export function fakeNvmlLibrary(kind: 'new' | 'old' = 'new'): string {
  const known = built.get(kind);
  if (known !== undefined) return known;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-fake-nvml-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'libnvidia-ml.so.1');
  const flags = ['-shared', '-fPIC', '-O1', '-Wl,-soname,libnvidia-ml.so.1', ...(kind === 'old' ? ['-DOLD_DRIVER'] : [])];
  execFileSync('cc', [...flags, '-o', path, source]);
  built.set(kind, path);
  return path;
}

/** The directory below a fake driver's root where its libnvidia-ml.so.1 is. */
export const nvmlFolder = `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;

/** Lines as in fake-nvml.c. */
export function writeNvmlAnswers(directory: string, lines: readonly string[]): void {
  const path = join(directory, 'fake-nvml.conf');
  // It is read at any moment.
  writeFileSync(`${path}.new`, `${lines.join('\n')}\n`);
  renameSync(`${path}.new`, path);
}

/** GPUs as a fake driver has them, doing nothing. */
export function nvmlAnswersOf(inventory: readonly NvmlGpu[]): readonly string[] {
  return inventory.flatMap((gpu) => [
    `cuda ${cudaNumber(gpu.cudaVersion ?? '')}`,
    `gpu uuid=${gpu.uuid} name=${worded(gpu.model)} pci=0000${gpu.pciAddress} minor=${gpu.minor} total=${gpu.memoryBytes ?? 0}`,
    ...gpu.parts.map(
      (part) =>
        `part gpu=${gpu.index} slot=${part.index} uuid=${part.uuid} name=${worded(`${gpu.model} MIG ${part.profile}`)} gi=${part.gpuInstance} ci=${part.computeInstance} total=${part.memoryBytes ?? 0}`,
    ),
  ]);
}

const worded = (name: string): string => name.replaceAll(' ', '_');

function cudaNumber(version: string): number {
  const [major = '0', minor = '0'] = version.split('.');
  return Number(major) * 1000 + Number(minor) * 10;
}
