/** A docker-archive, as `docker load` takes it, of one image with many layers. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type NewTarEntry, type WritableEntry, writeTar } from '../../src/archive/tar-writer.ts';

/** `layers:latest`: busybox below; then /layers/0, /layers/1, … one in each layer; and the topmost takes /layers/0 away. */
export async function layeredArchive(count: number): Promise<Buffer> {
  const busybox = [
    directory('bin'),
    file('bin/busybox', readFileSync('/bin/busybox'), 0o755),
    directory('layers'),
    file('layers/0', text('0')),
  ];
  const middle = Array.from({ length: count - 2 }, (_, index) => [directory('layers'), file(`layers/${index + 1}`, text('x'))]);
  const top = [directory('layers'), file('layers/.wh.0', text('')), file(`layers/${count - 1}`, text('x'))];
  const layers = await Promise.all([busybox, ...middle, top].map(tarOf));
  const digests = layers.map((bytes) => createHash('sha256').update(bytes).digest('hex'));
  const config = text(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/busybox', 'sh'] },
      rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
    }),
  );
  const manifest = text(
    JSON.stringify([{ Config: 'config.json', RepoTags: ['layers:latest'], Layers: digests.map((digest) => `${digest}.tar`) }]),
  );
  const files = layers.map((bytes, index) => file(`${digests[index]}.tar`, bytes));
  return tarOf([file('manifest.json', manifest), file('config.json', config), ...files]);
}

async function tarOf(entries: readonly WritableEntry[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of writeTar(entries)) pieces.push(piece);
  return Buffer.concat(pieces);
}

function directory(path: string): WritableEntry {
  return { entry: { type: 'directory', path } satisfies NewTarEntry };
}

function file(path: string, content: Uint8Array, mode = 0o644): WritableEntry {
  return { entry: { type: 'file', path, mode }, content };
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
