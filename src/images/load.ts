/** `docker load`: an archive of one or several images, in Docker's layout, as an OCI layout, or as both. */
import type { ImageId } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import { shortId } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import type { ByteSource } from '../store/blobs.ts';
import type { Lease } from '../store/leases.ts';
import { admitImage, type IncomingImage } from './admit.ts';
import { ArchiveFiles, notAnImage } from './archive-files.ts';
import type { ImageProgress } from './catalogue.ts';
import { isDockerArchive, readDockerImage, readDockerManifest } from './docker-archive.ts';
import type { ImageStore } from './image-store.ts';
import { isOciLayout, readOciLayout } from './oci-layout.ts';

export interface LoadOptions {
  readonly host: Platform;
  readonly onProgress: (progress: ImageProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

export async function loadArchive(store: ImageStore, source: ByteSource, options: LoadOptions): Promise<readonly ImageId[]> {
  const lease = store.leases.acquire();
  let complete = false;
  try {
    await using files = await ArchiveFiles.read(source, store.blobs, options.signal);
    const loaded: ImageId[] = [];
    for await (const { image, references } of imagesOf(store, files, lease, options)) {
      loaded.push(await admit(store, image, references, options));
    }
    complete = true;
    return [...new Set(loaded)];
  } finally {
    lease.release();
    // Images before the one that failed stay, as in Docker; what was brought for that one goes.
    if (!complete) await store.sweeper.sweep();
  }
}

interface FoundImage {
  readonly image: IncomingImage;
  readonly references: readonly string[];
}

/** An archive that is both layouts is read as OCI's, which has the manifests; what only Docker's list names comes after. */
async function* imagesOf(store: ImageStore, files: ArchiveFiles, lease: Lease, { host }: LoadOptions): AsyncGenerator<FoundImage> {
  const listed = isDockerArchive(files) ? await readDockerManifest(files) : [];
  const fromLayout = new Map<string, FoundImage>();
  if (isOciLayout(files)) {
    for await (const { image, references } of readOciLayout(files, host, lease)) {
      const found = { image, references };
      fromLayout.set(image.config.digest, found);
      yield found;
    }
  } else if (!isDockerArchive(files)) {
    throw files.has('repositories')
      ? invalid(
          'this image archive was made by Docker before 1.10 and has no manifest.json; load it with an older Docker and save it again',
        )
      : notAnImage(files.sample());
  }
  for (const entry of listed) {
    const known = fromLayout.get(files.file(entry.config).digest);
    const more = entry.references.filter((reference) => !known?.references.includes(reference));
    if (!known) yield { image: await readDockerImage(store, files, entry, lease), references: entry.references };
    else if (more.length > 0) yield { image: known.image, references: more };
  }
}

async function admit(store: ImageStore, image: IncomingImage, references: readonly string[], options: LoadOptions): Promise<ImageId> {
  const { onProgress, signal } = options;
  const { record, moved } = await admitImage(store, image, {
    references,
    what: `image ${shortId(image.config.digest)} of the archive`,
    signal,
    onLayerProgress: ({ diffId }, { doneBytes, totalBytes }) =>
      onProgress({ kind: 'progress', id: shortId(diffId), status: 'Loading layer', current: doneBytes, total: totalBytes }),
  });
  for (const { reference, from } of moved) {
    const text = `The image ${familiar(reference)} already exists, renaming the old one with ID ${from} to empty string\n`;
    onProgress({ kind: 'stream', text });
  }
  for (const reference of references) onProgress({ kind: 'stream', text: `Loaded image: ${familiar(reference)}\n` });
  if (references.length === 0) onProgress({ kind: 'stream', text: `Loaded image ID: ${record.id}\n` });
  store.emit({ action: 'load', id: record.id, attributes: { name: record.id } });
  return record.id;
}

function familiar(reference: string): string {
  return familiarReference(parseReference(reference));
}
