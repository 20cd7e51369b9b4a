/**
 * Files of the trees that were built as one tar (`type=tar`, `type=local`): those of the only platform at its root, or a folder for each (`linux_amd64/`), and what is attested of them beside.
 */
import { Readable } from 'node:stream';
import { endOfArchive, writeTar } from '../../archive/tar-writer.ts';
import { EngineError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../oci/platform.ts';
import type { LayerWork } from '../files/layer-work.ts';
import { encodeStatement } from './attestation-manifest.ts';
import type { BuiltImage } from './outputs.ts';

const fileNames: Readonly<Record<string, string>> = { 'https://spdx.dev/Document': 'sbom.spdx.json' };

/** `isSplit`: a folder for each platform. */
export function fileArchive(
  exportTree: LayerWork['exportTree'],
  images: readonly BuiltImage[],
  isSplit: boolean,
  signal: AbortSignal,
): Readable {
  return Readable.from(archive(exportTree, images, isSplit, signal), { objectMode: false, highWaterMark: 1 << 20 });
}

async function* archive(
  exportTree: LayerWork['exportTree'],
  images: readonly BuiltImage[],
  isSplit: boolean,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const image of images) {
    const { tree, platform, epoch } = image;
    const folder = isSplit ? folderOf(platform) : '';
    const modifiedAt = { seconds: epoch, nanoseconds: 0 };
    yield* withoutEnd(await exportTree(tree, epoch, folder, signal));
    const suffix = !isSplit && images.length > 1 ? `.${folderOf(platform)}` : '';
    const beside = image.attestations.map(({ predicateType, statement }) => ({
      entry: { type: 'file' as const, path: (isSplit ? `${folder}/` : '') + nameOf(predicateType, suffix), modifiedAt },
      content: encodeStatement(statement, predicateType, []),
    }));
    yield* withoutEnd(writeTar(beside));
  }
  yield endOfArchive;
}

/** `linux_arm_v7` */
function folderOf(platform: Platform): string {
  return formatPlatform(platform).replaceAll('/', '_');
}

/** `provenance.json`; `sbom.linux_arm64.spdx.json` where several platforms share a folder. */
function nameOf(predicateType: string, suffix: string): string {
  const name = fileNames[predicateType] ?? 'provenance.json';
  return name.replace('.', `${suffix}.`);
}

/** A tar ends with two empty blocks; behind them readers stop. */
async function* withoutEnd(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of tar) {
    const all = held.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([held, chunk]);
    const sure = Math.max(0, all.length - endOfArchive.length);
    if (sure > 0) yield all.subarray(0, sure);
    // A copy: whoever made the chunk may use it again.
    held = Buffer.from(all.subarray(sure));
  }
  if (held.length !== endOfArchive.length || held.some((byte) => byte !== 0))
    throw new EngineError('system', 'the archive of the files that were built has no end');
}
