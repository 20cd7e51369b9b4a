/**
 * What is known of one repository, in memory: a mirror of its rows, changed only after they were (so that nothing is ever seen that a power loss could take back), in the order of
 * the commits. Digests are shared strings (`DigestTable`).
 *
 * Memory, measured with 1 000 000 blobs and 100 000 tags: see docs/registry.md.
 */
import type { Digest } from '../base/brand.ts';
import type { ManifestInfo, TagInfo } from './registry.ts';
import { SortedNames } from './sorted-names.ts';

/** A digest that a repository has, or that one of its manifests names. */
export interface BlobHold {
  /** Null: no link; only named. */
  sizeBytes: number | null;
  /** When somebody last counted on it, milliseconds. */
  neededAt: number;
  /** Manifests that name it. */
  namedBy: number;
  /** Manifests that name it and are being committed. */
  pins: number;
}

export interface ManifestState {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly pushedAt: number;
  readonly names: readonly Digest[];
}

export interface TagState {
  readonly digest: Digest;
  readonly movedAt: number;
}

export class RepositoryState {
  readonly name: string;
  readonly tags = new Map<string, TagState>();
  tagNames = new SortedNames();
  readonly manifests = new Map<Digest, ManifestState>();
  readonly holds = new Map<Digest, BlobHold>();
  /** Subject → manifests, sorted by digest. */
  readonly referrers = new Map<Digest, SortedNames>();
  links = 0;
  usedBytes = 0;
  /** Of changes that are being committed: a quota counts them. */
  reservedBytes = 0;

  constructor(name: string) {
    this.name = name;
  }

  get exists(): boolean {
    return this.manifests.size > 0 || this.links > 0;
  }

  tagInfo(tag: string): TagInfo | null {
    const found = this.tags.get(tag);
    return found === undefined ? null : { digest: found.digest, movedAt: new Date(found.movedAt) };
  }

  /** Each with its tags, in one look over them. */
  manifestInfos(): readonly ManifestInfo[] {
    const tags = Map.groupBy(this.tagNames, (tag) => this.tags.get(tag)?.digest);
    return [...this.manifests.values()].map((manifest) => ({
      ...manifest,
      pushedAt: new Date(manifest.pushedAt),
      tags: tags.get(manifest.digest) ?? [],
    }));
  }

  /** Size of the blob, when it is linked here. */
  linkedSize(digest: Digest): number | null {
    return this.holds.get(digest)?.sizeBytes ?? null;
  }

  hold(digest: Digest): BlobHold {
    let hold = this.holds.get(digest);
    if (hold === undefined) {
      hold = { sizeBytes: null, neededAt: 0, namedBy: 0, pins: 0 };
      this.holds.set(digest, hold);
    }
    return hold;
  }

  /** Forgets it when nothing speaks of it. */
  dropIdle(digest: Digest): void {
    const hold = this.holds.get(digest);
    if (hold !== undefined && hold.sizeBytes === null && hold.namedBy === 0 && hold.pins === 0) this.holds.delete(digest);
  }

  /** False: it was linked already; it is young again. */
  link(digest: Digest, sizeBytes: number, now: number): boolean {
    const hold = this.hold(digest);
    hold.neededAt = Math.max(hold.neededAt, now);
    if (hold.sizeBytes !== null) return false;
    hold.sizeBytes = sizeBytes;
    this.links++;
    this.usedBytes += sizeBytes;
    return true;
  }

  unlink(digest: Digest): boolean {
    const hold = this.holds.get(digest);
    if (hold === undefined || hold.sizeBytes === null) return false;
    this.links--;
    this.usedBytes -= hold.sizeBytes;
    hold.sizeBytes = null;
    this.dropIdle(digest);
    return true;
  }

  addManifest(manifest: ManifestState): boolean {
    const before = this.manifests.get(manifest.digest);
    this.manifests.set(manifest.digest, manifest);
    if (before !== undefined) return false;
    this.usedBytes += manifest.sizeBytes;
    for (const digest of manifest.names) this.hold(digest).namedBy++;
    if (manifest.subject !== null) {
      const referrers = this.referrers.get(manifest.subject) ?? new SortedNames();
      referrers.add(manifest.digest);
      this.referrers.set(manifest.subject, referrers);
    }
    return true;
  }

  /** With the tags that name it: those are returned. `now`: what only it needed starts its grace. */
  removeManifest(digest: Digest, now: number): readonly string[] {
    const manifest = this.manifests.get(digest);
    if (manifest === undefined) return [];
    this.manifests.delete(digest);
    this.usedBytes -= manifest.sizeBytes;
    for (const name of manifest.names) this.#unname(name, now);
    const { subject } = manifest;
    const referrers = subject === null ? undefined : this.referrers.get(subject);
    referrers?.delete(digest);
    if (subject !== null && referrers?.size === 0) this.referrers.delete(subject);
    const tags = this.tagsOf(digest);
    for (const tag of tags) this.removeTag(tag);
    return tags;
  }

  tagsOf(digest: Digest): readonly string[] {
    const found: string[] = [];
    for (const [tag, state] of this.tags) if (state.digest === digest) found.push(tag);
    return found;
  }

  setTag(tag: string, state: TagState): void {
    if (!this.tags.has(tag)) this.tagNames.add(tag);
    this.tags.set(tag, state);
  }

  removeTag(tag: string): boolean {
    if (!this.tags.delete(tag)) return false;
    this.tagNames.delete(tag);
    return true;
  }

  #unname(digest: Digest, now: number): void {
    const hold = this.holds.get(digest);
    if (hold === undefined) return;
    hold.namedBy--;
    hold.neededAt = Math.max(hold.neededAt, now);
    this.dropIdle(digest);
  }
}
