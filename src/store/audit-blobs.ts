/** Audits the blob store: bytes that nobody needs, bytes that are needed and missing, and, deeply, bytes that are not what their name says. */
import { rm } from 'node:fs/promises';
import type { Digest } from '../base/brand.ts';
import type { AuditOptions, Finding } from '../base/finding.ts';
import type { BlobStore } from './blobs.ts';
import type { Leases } from './leases.ts';

export interface BlobAudit {
  readonly blobs: BlobStore;
  readonly leases: Leases;
  /** Who needs it, in words. */
  readonly needed: ReadonlyMap<Digest, string>;
  /** Who holds it beside those, in words; null: nobody. */
  ownerOf(digest: Digest): string | null;
  /** Removes what nobody needs. */
  sweep(): Promise<void>;
}

export async function auditBlobs(audit: BlobAudit, { deep }: AuditOptions): Promise<readonly Finding[]> {
  const present = new Set(await audit.blobs.list());
  return [
    ...unneeded(audit, present),
    ...missing(audit, present),
    ...(await strangers(audit)),
    ...(deep ? await damaged(audit, present) : []),
  ];
}

function unneeded({ needed, leases, ownerOf, sweep }: BlobAudit, present: ReadonlySet<Digest>): readonly Finding[] {
  return [...present]
    .filter((digest) => !needed.has(digest) && !leases.holds(digest) && ownerOf(digest) === null)
    .map((digest) => ({ kind: 'blob', what: digest, why: 'no image needs it', repair: { does: 'removes it', run: sweep } }));
}

function missing({ needed }: BlobAudit, present: ReadonlySet<Digest>): readonly Finding[] {
  return [...needed]
    .filter(([digest]) => !present.has(digest))
    .map(([digest, by]) => ({
      kind: 'blob',
      what: digest,
      why: `it is missing, and ${by} needs it: load or pull that again`,
      repair: null,
    }));
}

async function strangers({ blobs, leases }: BlobAudit): Promise<readonly Finding[]> {
  const others = await blobs.others();
  const staged = leases.idle ? others.staged : [];
  return [
    ...staged.map((path): Finding => file(path, 'nobody is writing it', leases)),
    ...others.strangers.map((path): Finding => file(path, 'its name is no digest')),
  ];
}

/** `leases`: somebody may have begun to write meanwhile, perhaps under this very name. */
function file(path: string, why: string, leases?: Leases): Finding {
  const run = async () => {
    if (leases === undefined || leases.idle) await rm(path, { recursive: true, force: true });
  };
  return { kind: 'file', what: path, why, repair: { does: 'removes it', run } };
}

/** One after the other: a disk reads no faster when it is asked for many at once. */
async function damaged({ blobs, needed, ownerOf }: BlobAudit, present: ReadonlySet<Digest>): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for (const digest of present) {
    const by = needed.get(digest) ?? ownerOf(digest);
    if (by === null || (await isWhole(blobs, digest))) continue;
    found.push({
      kind: 'blob',
      deep: true,
      what: digest,
      why: `its bytes are damaged, and ${by} needs it`,
      repair: { does: 'removes the bytes, so that the next load or pull of the image brings them again', run: () => blobs.delete(digest) },
    });
  }
  return found;
}

/** One that went away while it was looked at is not damaged. */
async function isWhole(blobs: BlobStore, digest: Digest): Promise<boolean> {
  try {
    return await blobs.verify(digest);
  } catch (error) {
    if (!blobs.has(digest)) return true;
    throw error;
  }
}
