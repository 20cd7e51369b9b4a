/**
 * `docker rmi`, with Docker's rules and words.
 *
 * By name: the name goes; when it was the last one, the image goes with it. By id: all names of one repository go, then the image; names in
 * several repositories need force. A container that uses the image keeps it: force then only takes the names away, so that the
 * container can always be started again (Docker deletes the image below a stopped container and leaves it without one).
 */
import type { ChainId, ImageId } from '../base/brand.ts';
import { conflict, type EngineError } from '../base/errors.ts';
import { chainIds, shortId } from '../oci/digest.ts';
import { canonicalName, familiarName, familiarReference, parseReference } from '../oci/reference.ts';
import type { ImageEvent, ImageUser, RemovedImage } from './catalogue.ts';
import { withLabels } from './image-event.ts';
import type { ImageRecord, ImageRecords, RecordChange } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { isDigestKey, resolveImage } from './resolve.ts';

export interface RemoveOptions {
  readonly force: boolean;
  readonly noPrune: boolean;
}

export interface RemovalOutcome {
  readonly removed: readonly RemovedImage[];
  readonly reclaimedBytes: number;
}

/** Decides under the lock, changes the records in one commit, then tells. The caller sweeps. */
export async function removeImage(store: ImageStore, name: string, options: RemoveOptions): Promise<RemovalOutcome> {
  return await store.exclusive(async () => {
    const { record, by } = resolveImage(store.records, name);
    const removal = new Removal(store, record, options);
    if (by === 'id') removal.byId();
    else removal.byName(by.reference, name);
    const events = removal.events.map((event) => withLabels(store.records, event));
    await store.records.apply(removal.changes);
    for (const event of events) store.emit(event);
    return { removed: removal.removed, reclaimedBytes: removal.reclaimedBytes };
  });
}

class Removal {
  readonly changes: RecordChange[] = [];
  readonly removed: RemovedImage[] = [];
  readonly events: ImageEvent[] = [];
  reclaimedBytes = 0;
  readonly #store: ImageStore;
  readonly #image: ImageRecord;
  readonly #options: RemoveOptions;
  readonly #gone = new Set<ImageId>();

  constructor(store: ImageStore, image: ImageRecord, options: RemoveOptions) {
    this.#store = store;
    this.#image = image;
    this.#options = options;
  }

  /** `typed`: the name as the person wrote it, for messages. */
  byName(reference: string, typed: string): void {
    const references = this.#references();
    const user = this.#store.users(this.#image.id)[0];
    if (user && !this.#options.force && inOneRepository(references)) {
      throw conflict(
        `conflict: unable to remove repository reference ${JSON.stringify(typed)} (must force) - container ${shortId(user.containerId)} is using its referenced image ${shortId(this.#image.id)}`,
      );
    }
    const rest = references.filter((other) => other !== reference);
    const repository = repositoryOf(reference);
    const tagsLeft = rest.some((other) => repositoryOf(other) === repository && !isDigestKey(other));
    // With the last tag of a repository its digests go too: nobody could name them otherwise.
    const digests = tagsLeft || isDigestKey(reference) ? [] : rest.filter((other) => repositoryOf(other) === repository);
    this.#untag([reference, ...digests]);
    if (rest.length > digests.length || user) return;
    const problem = this.#problem({ evenForced: true });
    if (!problem) this.#delete(this.#image);
  }

  byId(): void {
    const references = this.#references();
    const { force } = this.#options;
    const problem = this.#problem({ evenForced: force, names: !inOneRepository(references) });
    if (problem) throw problem;
    const stopped = this.#store.users(this.#image.id).find(({ running }) => !running);
    if (stopped && references.length === 0) throw this.#conflict('cannot be forced', usedBy(stopped));
    this.#untag(references);
    if (!stopped) this.#delete(this.#image);
  }

  #references(): readonly string[] {
    return this.#store.records.referencesOf(this.#image.id);
  }

  /** What forbids deleting. The hard reasons hold even with force. */
  #problem({ evenForced, names = false }: { readonly evenForced: boolean; readonly names?: boolean }): EngineError | null {
    const users = this.#store.users(this.#image.id);
    if (childrenOf(this.#store.records, this.#image.id).length > 0)
      return this.#conflict('cannot be forced', 'image has dependent child images');
    const running = users.find((user) => user.running);
    if (running) return this.#conflict('cannot be forced', usedBy(running));
    if (evenForced) return null;
    if (names) return this.#conflict('must be forced', 'image is referenced in multiple repositories');
    const [stopped] = users;
    return stopped ? this.#conflict('must be forced', usedBy(stopped)) : null;
  }

  #conflict(force: string, why: string): EngineError {
    return conflict(`conflict: unable to delete ${shortId(this.#image.id)} (${force}) - ${why}`);
  }

  #untag(references: readonly string[]): void {
    const { id } = this.#image;
    for (const reference of references) {
      this.changes.push({ kind: 'unrefer', reference });
      this.removed.push({ kind: 'untagged', reference: familiar(reference) });
      this.events.push({ action: 'untag', id, attributes: { name: id } });
    }
  }

  #delete(image: ImageRecord): void {
    this.#gone.add(image.id);
    this.changes.push({ kind: 'delete', id: image.id });
    this.removed.push({ kind: 'deleted', id: image.id });
    this.events.push({ action: 'delete', id: image.id, attributes: { name: image.id } });
    this.#deleteLayers(image);
    const parent = image.parent === null || this.#options.noPrune ? undefined : this.#store.records.get(image.parent);
    if (parent && this.#isUnneeded(parent)) this.#delete(parent);
  }

  /** Docker names the chains that no other image has, topmost first. */
  #deleteLayers(image: ImageRecord): void {
    const kept = new Set<ChainId>();
    const keptDirectories = new Set<string>();
    for (const other of this.#store.records.all()) {
      if (this.#gone.has(other.id)) continue;
      for (const chain of chainIds(other.config.rootfs.diff_ids)) kept.add(chain);
      for (const { directory } of other.layers) keptDirectories.add(directory);
    }
    for (const [index, chain] of [...chainIds(image.config.rootfs.diff_ids).entries()].reverse()) {
      if (kept.has(chain)) break;
      this.removed.push({ kind: 'deleted', id: chain });
      const layer = image.layers[index];
      if (layer && !keptDirectories.has(layer.directory)) this.reclaimedBytes += layer.sizeBytes;
    }
  }

  #isUnneeded(image: ImageRecord): boolean {
    const { records } = this.#store;
    const children = childrenOf(records, image.id).filter((child) => !this.#gone.has(child.id));
    return children.length === 0 && records.referencesOf(image.id).length === 0 && this.#store.users(image.id).length === 0;
  }
}

export function childrenOf(records: ImageRecords, id: ImageId): readonly ImageRecord[] {
  return [...records.all()].filter(({ parent }) => parent === id);
}

function usedBy({ running, containerId }: ImageUser): string {
  return `image is being used by ${running ? 'running' : 'stopped'} container ${shortId(containerId)}`;
}

/** Docker: at most one tag, or one tag and digests of its repository. */
function inOneRepository(references: readonly string[]): boolean {
  const tags = references.filter((reference) => !isDigestKey(reference));
  return tags.length <= 1 && new Set(references.map(repositoryOf)).size <= 1;
}

function repositoryOf(reference: string): string {
  return canonicalName(parseReference(reference));
}

function familiar(reference: string): string {
  const parsed = parseReference(reference);
  return parsed.digest === null ? familiarReference(parsed) : `${familiarName(parsed)}@${parsed.digest}`;
}
