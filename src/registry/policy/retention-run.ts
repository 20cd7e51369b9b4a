/**
 * Applies the retention rules to a registry: repository after repository, beside pushes and pulls. A tag that moved, and a manifest that got a tag, since they were chosen
 * stay: the registry asks `guard` in the turn in which it decides. A repository that changes is looked at again before more of it goes.
 */
import type { Digest } from '../../base/brand.ts';
import { errorText } from '../../base/errors.ts';
import type { ImmutableRule, RetentionRule } from '../configuration/registry-configuration.ts';
import type { Registry, RegistryRepository, Writer } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { isImmutable } from './immutable-tags.ts';
import { chooseExpired, type RepositoryContent, type RetentionChoice, type TaggedManifest } from './retention.ts';

export interface RetentionReport {
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
}

export interface RetentionRemoval {
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: Digest;
}

export interface RetentionOptions {
  readonly rules: readonly RetentionRule[];
  readonly immutable: readonly ImmutableRule[];
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly now?: () => number;
  readonly onRemoval?: (removal: RetentionRemoval) => void;
}

const writer: Writer = { user: null, address: '', userAgent: 'retention' };
const pageSize = 500;

export class Retention {
  readonly #registry: Registry;
  /** What is being removed: tags with the time they were seen at, manifests by digest. */
  readonly #tags = new Map<string, number>();
  readonly #manifests = new Set<string>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** For `RegistryRules.keepTag`. */
  guard(repository: string, tag: string, from: Digest, to: Digest | null): string | null {
    if (to !== null) return null;
    if (this.#manifests.has(`${repository}@${from}`)) return 'it has a tag again';
    const seenAt = this.#tags.get(`${repository}:${tag}`);
    if (seenAt === undefined) return null;
    return this.#registry.repository(repository).tag(tag)?.movedAt.getTime() === seenAt ? null : 'it was pushed again';
  }

  async run(options: RetentionOptions): Promise<RetentionReport> {
    let report: RetentionReport = { repositories: 0, tags: 0, manifests: 0 };
    for (const name of await this.#names()) {
      options.signal?.throwIfAborted();
      const rule = options.rules.find(({ repository }) => repository.matches(name));
      if (rule === undefined) continue;
      const { tags, manifests } = await this.#runOne(name, rule, options);
      report = { repositories: report.repositories + 1, tags: report.tags + tags, manifests: report.manifests + manifests };
    }
    return report;
  }

  async #runOne(name: string, rule: RetentionRule, options: RetentionOptions): Promise<Omit<RetentionReport, 'repositories'>> {
    const repository = this.#registry.repository(name);
    const choose = (): RetentionChoice =>
      chooseExpired(rule, contentOf(repository), (options.now ?? Date.now)(), (tag) => isImmutable(options.immutable, name, tag));
    let choice = choose();
    if (options.dryRun === true) {
      for (const { tag, digest } of choice.tags) options.onRemoval?.({ repository: name, tag, digest });
      for (const digest of choice.manifests) options.onRemoval?.({ repository: name, tag: null, digest });
      return { tags: choice.tags.length, manifests: choice.manifests.length };
    }
    let [tags, manifests] = [0, 0];
    for (const tagged of choice.tags) {
      options.signal?.throwIfAborted();
      if (!(await this.#removeTag(repository, tagged))) continue;
      tags++;
      options.onRemoval?.({ repository: name, tag: tagged.tag, digest: tagged.digest });
    }
    let wasPushed = false;
    using _ = onPush(this.#registry, name, () => {
      wasPushed = true;
    });
    // Their tags are gone now: those that were chosen with them are found by what they were, not by the rule again.
    const chosen = new Set(choice.manifests);
    const order = [...choice.manifests];
    for (let digest = order.shift(); digest !== undefined; digest = order.shift()) {
      options.signal?.throwIfAborted();
      if (wasPushed) {
        wasPushed = false;
        choice = stillUnneeded(repository, chosen);
        if (!choice.manifests.includes(digest)) continue;
      }
      if (!(await this.#removeManifest(repository, digest))) continue;
      manifests++;
      options.onRemoval?.({ repository: name, tag: null, digest });
    }
    return { tags, manifests };
  }

  async #removeTag(repository: RegistryRepository, { tag, movedAt }: TaggedManifest): Promise<boolean> {
    const key = `${repository.name}:${tag}`;
    this.#tags.set(key, movedAt.getTime());
    try {
      return await repository.deleteTag(tag, writer);
    } catch (error) {
      return refusedByRule(error);
    } finally {
      this.#tags.delete(key);
    }
  }

  async #removeManifest(repository: RegistryRepository, digest: Digest): Promise<boolean> {
    const key = `${repository.name}@${digest}`;
    this.#manifests.add(key);
    try {
      return await repository.deleteManifest(digest, writer);
    } catch (error) {
      return refusedByRule(error);
    } finally {
      this.#manifests.delete(key);
    }
  }

  async #names(): Promise<readonly string[]> {
    const names: string[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const page = this.#registry.repositories({ after, limit: pageSize });
      names.push(...page.entries);
      after = page.entries.at(-1) ?? null;
      more = page.more && after !== null;
    }
    return names;
  }
}

export function contentOf(repository: RegistryRepository): RepositoryContent {
  const manifests = repository.manifests();
  const tags = manifests.flatMap(({ tags: names, digest }) =>
    names.flatMap((tag): readonly TaggedManifest[] => {
      const info = repository.tag(tag);
      return info === null ? [] : [{ tag, digest, movedAt: info.movedAt }];
    }),
  );
  return { tags, manifests };
}

/** Of what was chosen, what nothing that was pushed since needs. */
function stillUnneeded(repository: RegistryRepository, chosen: ReadonlySet<Digest>): RetentionChoice {
  const manifests = repository.manifests();
  const staying = manifests.filter(({ digest, tags }) => !chosen.has(digest) || tags.length > 0);
  const needed = new Set([...staying.flatMap(({ names }) => names), ...staying.map(({ digest }) => digest)]);
  return { tags: [], manifests: manifests.map(({ digest }) => digest).filter((digest) => chosen.has(digest) && !needed.has(digest)) };
}

/** A refusal is the answer "it stays"; everything else is a failure. */
function refusedByRule(error: unknown): false {
  if (error instanceof RegistryRefusal && error.refusal === 'DENIED') return false;
  throw new Error(`a retention rule could not be applied: ${errorText(error)}`, { cause: error });
}

function onPush(registry: Registry, name: string, listener: () => void): Disposable {
  const stop = registry.onEvent(({ repository, action }) => {
    if (repository === name && action === 'push') listener();
  });
  return { [Symbol.dispose]: stop };
}
