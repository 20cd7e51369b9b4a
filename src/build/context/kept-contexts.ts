/**
 * Directories of contexts: those of one build (`t-…`), those that are being removed (`r-…`), and those that stay for the next build of the same folder (`k-<digest of its key>`), the latest used within a limit.
 *
 *     k-…/record.json    when it was made and used, and in which boot of the machine: what was written is not synced, so it is trusted only until the machine's next boot
 *
 * One build at a time has a kept one; another one of the same folder gets a directory of its own meanwhile. What is trusted has an index (context-index.ts).
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, hasErrnoCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CachePruneOptions, CacheUsage } from '../cache/build-cache.ts';
import type { ContextPlaces } from './context-job.ts';

interface KeptRecord {
  readonly createdAt: string;
  readonly lastUsedAt: string;
  readonly usageCount: number;
  readonly sizeBytes: number;
  readonly boot: string;
}

interface Kept {
  readonly name: string;
  readonly createdAt: Date;
  lastUsedAt: Date;
  usageCount: number;
  sizeBytes: number;
  inUse: boolean;
}

export interface Place {
  readonly places: ContextPlaces;
  /** What its builds made of it stays: null where it is one build's. */
  readonly kept: Kept | null;
}

export interface KeptContextsOptions {
  /** `<data-root>/build/contexts` */
  readonly directory: string;
  /** Of kept contexts together. */
  readonly limitBytes: number;
  /** Removes directories of `directory`, which were renamed to names that nothing else has. */
  remove(names: readonly string[]): Promise<void>;
  readonly logger: Logger;
}

export class KeptContexts {
  readonly #options: KeptContextsOptions;
  readonly #boot: string;
  readonly #kept = new Map<string, Kept>();
  readonly #removals = new Set<Promise<void>>();
  #counter = 0;

  private constructor(options: KeptContextsOptions, boot: string) {
    this.#options = options;
    this.#boot = boot;
  }

  /** What a killed daemon left half done goes, beside what the daemon does next. */
  static async open(options: KeptContextsOptions): Promise<KeptContexts> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const contexts = new KeptContexts(options, boot);
    const rest: string[] = [];
    for (const name of await readdir(options.directory)) if (!(await contexts.#read(name))) rest.push(name);
    if (rest.length > 0) await contexts.#discard(rest);
    return contexts;
  }

  /** What was given up is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** `sharedKey`: null for a context of one build. */
  async acquire(sharedKey: string | null): Promise<Place> {
    const name = sharedKey === null ? null : `k-${createHash('sha256').update(sharedKey).digest('hex').slice(0, 32)}`;
    const known = name === null ? undefined : this.#kept.get(name);
    if (name === null || known?.inUse === true) return { places: await this.#make(this.#newName('t')), kept: null };
    const now = new Date();
    const kept = known ?? { name, createdAt: now, lastUsedAt: now, usageCount: 0, sizeBytes: 0, inUse: true };
    kept.inUse = true;
    this.#kept.set(name, kept);
    return { places: known === undefined ? await this.#make(name) : this.#placesOf(name), kept };
  }

  /** Its context is whole, and stays if it may. */
  async release({ places, kept }: Place, sizeBytes: number): Promise<void> {
    if (kept === null) return await this.#discard([nameOf(places)]);
    kept.lastUsedAt = new Date();
    kept.usageCount++;
    kept.sizeBytes = sizeBytes;
    await this.#write(places, kept);
    kept.inUse = false;
    await this.#keepWithinLimit();
  }

  /** Its context is not whole. */
  async giveUp({ places, kept }: Place): Promise<void> {
    if (kept !== null) this.#kept.delete(kept.name);
    await this.#discard([nameOf(places)]);
  }

  usage(): readonly CacheUsage[] {
    return [...this.#kept.values()].map((kept) => ({
      id: kept.name,
      type: 'source.local',
      description: 'local source for context',
      sizeBytes: kept.sizeBytes,
      shared: false,
      inUse: kept.inUse,
      createdAt: kept.createdAt,
      lastUsedAt: kept.usageCount === 0 ? null : kept.lastUsedAt,
      usageCount: kept.usageCount,
      parents: [],
    }));
  }

  async prune(options: CachePruneOptions): Promise<{ readonly deleted: readonly string[]; readonly reclaimedBytes: number }> {
    const { unusedSince, ids, types, keepBytes } = options;
    const wanted = this.#latestFirst().filter(
      ({ name, lastUsedAt }) =>
        (unusedSince === null || lastUsedAt < unusedSince) &&
        (ids.length === 0 || ids.some((id) => name.startsWith(id))) &&
        (types.length === 0 || types.includes('source.local')),
    );
    let stays = keepBytes ?? 0;
    const going = wanted.filter(({ sizeBytes }) => {
      stays -= sizeBytes;
      return keepBytes === null || stays < 0;
    });
    await this.#removeKept(going);
    return { deleted: going.map(({ name }) => name), reclaimedBytes: going.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
  }

  #latestFirst(): readonly Kept[] {
    return [...this.#kept.values()].filter(({ inUse }) => !inUse).sort((a, b) => b.lastUsedAt.getTime() - a.lastUsedAt.getTime());
  }

  async #keepWithinLimit(): Promise<void> {
    let room = this.#options.limitBytes;
    const going = this.#latestFirst().filter(({ sizeBytes }) => {
      room -= sizeBytes;
      return room < 0;
    });
    await this.#removeKept(going);
  }

  async #removeKept(going: readonly Kept[]): Promise<void> {
    for (const { name } of going) this.#kept.delete(name);
    await this.#discard(going.map(({ name }) => name));
  }

  /** Renamed at once, so that nobody takes them for something, and removed beside other work: many files take their time. What cannot be removed is tried again at the next boot. */
  async #discard(names: readonly string[]): Promise<void> {
    const going: string[] = [];
    for (const name of names) {
      const renamed = this.#newName('r');
      try {
        await rename(join(this.#options.directory, name), join(this.#options.directory, renamed));
        going.push(renamed);
      } catch (error) {
        if (!hasErrnoCode(error, 'ENOENT')) throw error;
      }
    }
    if (going.length > 0) this.#remove(going);
  }

  #remove(names: readonly string[]): void {
    const removal = this.#options
      .remove(names)
      .catch((error: unknown) => this.#options.logger.warn({ names, error: errorText(error) }, 'build contexts cannot be removed'))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  #newName(kind: 't' | 'r'): string {
    return `${kind}-${process.pid}-${Date.now().toString(36)}-${this.#counter++}`;
  }

  #placesOf(name: string): ContextPlaces {
    const directory = join(this.#options.directory, name);
    return { directory, files: join(directory, 'files'), trash: join(directory, 'trash'), index: join(directory, 'index') };
  }

  async #make(name: string): Promise<ContextPlaces> {
    const places = this.#placesOf(name);
    const { directory } = places;
    // Files of contexts may be anybody's secrets: only the way down to them is closed, as layers are read by many.
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await mkdir(places.files, { recursive: true, mode: 0o755 });
    await mkdir(places.trash, { recursive: true, mode: 0o700 });
    return places;
  }

  async #write(places: ContextPlaces, kept: Kept): Promise<void> {
    const record: KeptRecord = {
      createdAt: kept.createdAt.toISOString(),
      lastUsedAt: kept.lastUsedAt.toISOString(),
      usageCount: kept.usageCount,
      sizeBytes: kept.sizeBytes,
      boot: this.#boot,
    };
    const path = join(places.directory, 'record.json');
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  /** False: it is not to be trusted. */
  async #read(name: string): Promise<boolean> {
    if (!name.startsWith('k-')) return false;
    const directory = join(this.#options.directory, name);
    try {
      await stat(join(directory, 'index'));
      const record = JSON.parse(await readFile(join(directory, 'record.json'), 'utf8')) as KeptRecord;
      if (record.boot !== this.#boot) return false;
      const { usageCount, sizeBytes } = record;
      const [createdAt, lastUsedAt] = [new Date(record.createdAt), new Date(record.lastUsedAt)];
      this.#kept.set(name, { name, createdAt, lastUsedAt, usageCount, sizeBytes, inUse: false });
      return true;
    } catch {
      return false;
    }
  }
}

function nameOf({ directory }: ContextPlaces): string {
  return directory.slice(directory.lastIndexOf('/') + 1);
}
