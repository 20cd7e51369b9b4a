/** Hashes every blob and every manifest again, in a thread, and looks for what manifests name and their repository does not have. */
import type { Digest } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { digestOf } from '../oci/digest.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { RegistryFinding } from './registry.ts';
import type { RegistryRecords } from './registry-records.ts';

interface Checked {
  readonly records: RegistryRecords;
  readonly blobs: BlobStore;
}

export async function checkRegistry(
  registry: Checked,
  onFinding: (finding: RegistryFinding) => void,
  signal: AbortSignal,
): Promise<{ blobs: number; bytes: number }> {
  await checkManifests(registry, onFinding, signal);
  let blobs = 0;
  let bytes = 0;
  for (const [digest, { sizeBytes, repositories }] of linkedBlobs(registry.records)) {
    signal.throwIfAborted();
    const finding = await checkBlob(registry, digest, sizeBytes);
    // A collection may have taken it meanwhile.
    if (finding !== null && registry.records.isLinked(digest)) onFinding({ ...finding, digest, repositories });
    blobs++;
    bytes += sizeBytes;
  }
  return { blobs, bytes };
}

function linkedBlobs(records: RegistryRecords): Map<Digest, { readonly sizeBytes: number; readonly repositories: string[] }> {
  const linked = new Map<Digest, { readonly sizeBytes: number; readonly repositories: string[] }>();
  for (const state of records.repositories()) {
    for (const [digest, { sizeBytes }] of state.holds) {
      if (sizeBytes === null) continue;
      const known = linked.get(digest);
      if (known === undefined) linked.set(digest, { sizeBytes, repositories: [state.name] });
      else known.repositories.push(state.name);
    }
  }
  return linked;
}

async function checkBlob({ blobs }: Checked, digest: Digest, sizeBytes: number): Promise<Pick<RegistryFinding, 'kind' | 'text'> | null> {
  try {
    const found = blobs.sizeBytes(digest);
    if (found !== sizeBytes)
      return { kind: 'wrong-size', text: `blob ${digest} has ${found} bytes where ${sizeBytes} were pushed: push it again` };
    if (await blobs.verify(digest)) return null;
    return { kind: 'damaged-blob', text: `blob ${digest} is damaged (${blobs.path(digest)}): remove the file and push it again` };
  } catch (thrown) {
    if (thrown instanceof EngineError && thrown.code === 'not-found') {
      return { kind: 'missing-blob', text: `blob ${digest} is missing on the disk: push it again` };
    }
    return { kind: 'damaged-blob', text: `blob ${digest} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}` };
  }
}

async function checkManifests({ records }: Checked, onFinding: (finding: RegistryFinding) => void, signal: AbortSignal): Promise<void> {
  for (const state of [...records.repositories()]) {
    const repositories = [state.name];
    for (const { digest, names } of [...state.manifests.values()]) {
      signal.throwIfAborted();
      const bytes = await records.manifestBytes(digest);
      if (!state.manifests.has(digest)) continue;
      if (bytes === null)
        onFinding({ kind: 'missing-manifest', digest, repositories, text: `manifest ${digest} of ${state.name} is missing` });
      else if (digestOf(bytes) !== digest) {
        onFinding({
          kind: 'damaged-blob',
          digest,
          repositories,
          text: `manifest ${digest} of ${state.name} is damaged: delete it and push it again`,
        });
      }
      for (const name of names) {
        if (state.manifests.has(name) || state.linkedSize(name) !== null) continue;
        const text = `manifest ${digest} of ${state.name} names ${name}, which is not in this repository: push it again`;
        onFinding({ kind: 'missing-blob', digest: name, repositories, text });
      }
    }
  }
}
