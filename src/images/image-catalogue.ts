/** The catalogue of `catalogue.ts` over blob store, layer store and database: reads come from memory, each change is one commit. */
import type { Readable } from 'node:stream';
import type { ImageId } from '../base/brand.ts';
import { errorText, invalid } from '../base/errors.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { hostPlatform, type Platform } from '../oci/platform.ts';
import { canonicalReference, familiarReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Database } from '../store/database.ts';
import type { LayerStore } from '../store/layer-store.ts';
import { createLeases, type Leases } from '../store/leases.ts';
import type { ImageCatalogue, ImageEvent, ImageUser } from './catalogue.ts';
import { commitImage, commitReference } from './commit.ts';
import { imageHistory } from './history.ts';
import { withLabels } from './image-event.ts';
import { ImageRecords } from './image-records.ts';
import { createLock, type ImageStore } from './image-store.ts';
import { viewImage } from './image-view.ts';
import { importLayer, planImport } from './import.ts';
import { loadArchive } from './load.ts';
import { pruneImages } from './prune.ts';
import { removeImage } from './remove.ts';
import { findImage, resolveImage } from './resolve.ts';
import { saveImages } from './save.ts';
import { Sweeper } from './sweep.ts';

export interface ImageCatalogueOptions {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly leases?: Leases;
  readonly host?: Platform;
  readonly log?: Logger;
}

export interface OpenCatalogue {
  readonly catalogue: ImageCatalogue;
  /** For the parts of the engine that bring images themselves: embedded ones, commit, build, pull. */
  readonly store: ImageStore;
}

/** Reads the records. What a killed daemon left is swept by the first `store.sweeper.sweep()`, when everybody who owns blobs is known to the sweeper. */
export async function createImageCatalogue(options: ImageCatalogueOptions): Promise<OpenCatalogue> {
  const { database, blobs, layers, leases = createLeases(), log = silentLogger } = options;
  const records = await ImageRecords.load(database, blobs, log);
  const sweeper = new Sweeper({ records, blobs, layers, leases, log });
  const listeners = new Set<(event: ImageEvent) => void>();
  let users: (id: ImageId) => readonly ImageUser[] = () => [];
  const store: ImageStore = {
    records,
    blobs,
    layers,
    leases,
    sweeper,
    exclusive: createLock(),
    users: (id) => users(id),
    emit(event) {
      const labelled = withLabels(records, event);
      for (const listener of listeners) tell(listener, labelled, log);
    },
  };
  const catalogue = new StoredCatalogue(store, options.host ?? hostPlatform(), {
    listeners,
    setUsers: (given) => {
      users = given;
    },
  });
  return { catalogue, store };
}

interface Hooks {
  readonly listeners: Set<(event: ImageEvent) => void>;
  readonly setUsers: ImageCatalogue['setUsers'];
}

class StoredCatalogue implements ImageCatalogue {
  readonly #store: ImageStore;
  readonly #host: Platform;
  readonly #hooks: Hooks;

  constructor(store: ImageStore, host: Platform, hooks: Hooks) {
    this.#store = store;
    this.#host = host;
    this.#hooks = hooks;
  }

  list: ImageCatalogue['list'] = () => {
    const { records } = this.#store;
    return [...records.all()].map((record) => viewImage(records, record));
  };

  resolve: ImageCatalogue['resolve'] = (reference) => viewImage(this.#store.records, resolveImage(this.#store.records, reference).record);

  find: ImageCatalogue['find'] = (reference) => {
    const found = findImage(this.#store.records, reference);
    return found && viewImage(this.#store.records, found.record);
  };

  load: ImageCatalogue['load'] = (tar: Readable, onProgress, signal) =>
    loadArchive(this.#store, tar, { host: this.#host, onProgress, signal });

  importTar: ImageCatalogue['importTar'] = async (tar, options, onProgress) => {
    const plan = planImport(options, this.#host);
    const { id } = await importLayer(this.#store, tar, plan, onProgress);
    for (const reference of plan.references) this.#tagEvent(id, familiarReference(parseReference(reference)));
    this.#store.emit({ action: 'import', id, attributes: { name: id } });
    return id;
  };

  commit: ImageCatalogue['commit'] = async (request, reference) => {
    const references = reference === null ? [] : [commitReference(reference)];
    const { id } = await commitImage(this.#store, request, references);
    for (const each of references) this.#tagEvent(id, familiarReference(parseReference(each)));
    return id;
  };

  save: ImageCatalogue['save'] = (references) => saveImages(this.#store, references);

  tag: ImageCatalogue['tag'] = async (source, target) => {
    const reference = parseReference(target);
    if (reference.digest !== null) throw invalid('refusing to create a tag with a digest reference');
    const canonical = canonicalReference(withDefaultTag(reference));
    const { id } = await this.#store.exclusive(async () => {
      const { record, by } = resolveImage(this.#store.records, source);
      const entry = { reference: canonical, id: record.id, target: by === 'id' ? record.firstTarget : by.target };
      await this.#store.records.apply([{ kind: 'refer', entry, at: new Date() }]);
      return record;
    });
    this.#tagEvent(id, familiarReference(parseReference(canonical)));
  };

  history: ImageCatalogue['history'] = (reference) =>
    imageHistory(this.#store.records, resolveImage(this.#store.records, reference).record);

  remove: ImageCatalogue['remove'] = async (reference, options) => {
    const { removed } = await removeImage(this.#store, reference, options);
    await this.#store.sweeper.sweep();
    return removed;
  };

  prune: ImageCatalogue['prune'] = async (filters) => {
    const outcome = await pruneImages(this.#store, filters);
    if (outcome.removed.length > 0) await this.#store.sweeper.sweep();
    this.#store.emit({ action: 'prune', id: '', attributes: { reclaimed: String(outcome.reclaimedBytes) } });
    return outcome;
  };

  onEvent: ImageCatalogue['onEvent'] = (listener) => {
    this.#hooks.listeners.add(listener);
    return () => void this.#hooks.listeners.delete(listener);
  };

  setUsers: ImageCatalogue['setUsers'] = (users) => this.#hooks.setUsers(users);

  #tagEvent(id: ImageId, name: string): void {
    this.#store.emit({ action: 'tag', id, attributes: { name } });
  }
}

/** A listener that fails must not undo what it is told of. */
function tell(listener: (event: ImageEvent) => void, event: ImageEvent, log: Logger): void {
  try {
    listener(event);
  } catch (cause) {
    log.error({ action: event.action, cause: errorText(cause) }, 'a listener of image events failed');
  }
}
