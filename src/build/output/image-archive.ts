/** Images as one tar: an OCI layout (`type=oci`), or the archive of `docker save`, which is both (`type=docker`). The same image and names give the same bytes. */
import { Readable } from 'node:stream';
import { writeTar } from '../../archive/tar-writer.ts';
import { invalid } from '../../base/errors.ts';
import { annotationsOf, archiveDocuments, layoutEntries } from '../../images/save.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { Assembly } from './assemble-image.ts';
import { indexDocument } from './encode-manifest.ts';

export async function imageArchive(
  blobs: BlobStore,
  type: 'oci' | 'docker',
  assembly: Assembly,
  names: readonly string[],
): Promise<Readable> {
  const index = indexDocument(entriesOf(assembly, names));
  const documents = type === 'oci' ? { index } : { ...(await dockerDocuments(blobs, assembly, names)), index };
  return Readable.from(writeTar(layoutEntries(blobs, assembly.blobs, documents)), { objectMode: false, highWaterMark: 1 << 20 });
}

function entriesOf({ target, targetAnnotations }: Assembly, names: readonly string[]): readonly Descriptor[] {
  const unnamed = Object.keys(targetAnnotations).length === 0 ? target : { ...target, annotations: targetAnnotations };
  if (names.length === 0) return [unnamed];
  return names.map((name) => ({ ...target, annotations: { ...targetAnnotations, ...annotationsOf(name) } }));
}

/** Old readers know one image a name. */
async function dockerDocuments(blobs: BlobStore, { images, target }: Assembly, names: readonly string[]) {
  const [image, ...others] = images;
  if (image === undefined || others.length > 0)
    throw invalid('docker exporter does not currently support exporting manifest lists: use type=oci for several platforms');
  return await archiveDocuments(blobs, [{ target: { descriptor: target, manifest: image.manifest, blobs: [] }, tags: names }]);
}
