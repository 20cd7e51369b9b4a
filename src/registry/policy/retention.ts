/**
 * What a retention rule takes from one repository: a pure function of what is there.
 *
 * Tags: of those that the rule looks at, all go that no reason keeps (`keepLast`, `keepYoungerThan`, `keepTags`); a rule without such a reason takes no tag.
 * Manifests: one whose last tag goes, goes with it, and so do the manifests that it alone named (an index its platforms') and what refers to it (a signature); with
 * `removeUntaggedAfter` also those without a tag that are older. Whatever stays keeps what it names and what refers to it.
 */
import type { Digest } from '../../base/brand.ts';
import type { RetentionRule } from '../configuration/registry-configuration.ts';
import type { ManifestInfo } from '../registry.ts';

export interface TaggedManifest {
  readonly tag: string;
  readonly digest: Digest;
  readonly movedAt: Date;
}

export interface RetentionChoice {
  readonly tags: readonly TaggedManifest[];
  /** Those that name others first. */
  readonly manifests: readonly Digest[];
}

export interface RepositoryContent {
  readonly tags: readonly TaggedManifest[];
  readonly manifests: readonly ManifestInfo[];
}

/** `isFixed`: the tag may not go, whatever the rule says. */
export function chooseExpired(
  rule: RetentionRule,
  { tags, manifests }: RepositoryContent,
  now: number,
  isFixed: (tag: string) => boolean = () => false,
): RetentionChoice {
  const expired = expiredTags(rule, tags, now).filter(({ tag }) => !isFixed(tag));
  const gone = new Set(expired.map(({ tag }) => tag));
  const byDigest = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const isUntagged = (manifest: ManifestInfo): boolean => manifest.tags.every((tag) => gone.has(tag));
  const candidates = new Set<Digest>();
  const add = (digest: Digest): void => {
    const manifest = byDigest.get(digest);
    if (manifest === undefined || candidates.has(digest) || !isUntagged(manifest)) return;
    candidates.add(digest);
    for (const name of manifest.names) add(name);
    for (const { digest: referrer, subject } of manifests) if (subject === digest) add(referrer);
  };
  for (const { digest } of expired) add(digest);
  const { removeUntaggedAfterMs } = rule;
  if (removeUntaggedAfterMs !== null)
    for (const manifest of manifests)
      if (isUntagged(manifest) && now - manifest.pushedAt.getTime() > removeUntaggedAfterMs) candidates.add(manifest.digest);
  keepWhatIsNeeded(candidates, manifests, byDigest);
  const removed = manifests.filter(({ digest }) => candidates.has(digest));
  return { tags: expired, manifests: namersFirst(removed) };
}

function expiredTags(rule: RetentionRule, tags: readonly TaggedManifest[], now: number): readonly TaggedManifest[] {
  const { keepLast, keepYoungerThanMs, keepTags } = rule;
  if (keepLast === null && keepYoungerThanMs === null && keepTags.length === 0) return [];
  const looked = tags.filter(({ tag }) => rule.tag.some((pattern) => pattern.matches(tag)));
  const newestFirst = looked.toSorted((a, b) => b.movedAt.getTime() - a.movedAt.getTime() || (a.tag < b.tag ? 1 : -1));
  const named = (tag: string): boolean => keepTags.some((pattern) => pattern.matches(tag));
  // Those kept by their name take no place among the last.
  const counted = newestFirst.filter(({ tag }) => !named(tag));
  return counted.filter(
    ({ movedAt }, index) => index >= (keepLast ?? 0) && !(keepYoungerThanMs !== null && now - movedAt.getTime() <= keepYoungerThanMs),
  );
}

/** From all that stays, along what it names and what refers to it. */
function keepWhatIsNeeded(candidates: Set<Digest>, manifests: readonly ManifestInfo[], byDigest: ReadonlyMap<Digest, ManifestInfo>): void {
  const referrers = Map.groupBy(manifests, ({ subject }) => subject);
  const staying = manifests.filter(({ digest }) => !candidates.has(digest));
  for (let manifest = staying.pop(); manifest !== undefined; manifest = staying.pop()) {
    const needed = [...manifest.names, ...(referrers.get(manifest.digest) ?? []).map(({ digest }) => digest)];
    for (const digest of needed) {
      const found = byDigest.get(digest);
      if (found !== undefined && candidates.delete(digest)) staying.push(found);
    }
  }
}

/** So that a stop in between leaves no index without its parts. */
function namersFirst(manifests: readonly ManifestInfo[]): readonly Digest[] {
  const named = new Set(manifests.flatMap(({ names }) => names));
  const isNamed = ({ digest }: ManifestInfo): boolean => named.has(digest);
  return [...manifests.filter((manifest) => !isNamed(manifest)), ...manifests.filter(isNamed)].map(({ digest }) => digest);
}
