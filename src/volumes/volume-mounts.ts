/**
 * Who holds a volume, and so whether it is mounted. Holders are containers, and verbs of ours that need the content for a while.
 *
 *   nobody ──acquire──▶ held, mounted ──acquire, release──▶ … ──release of the last one──▶ nobody, unmounted
 *
 * A plugin is told of each holder by an id of its own, made from holder and name so that the next daemon knows it too.
 */
import { createHash } from 'node:crypto';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { NameQueue } from './name-queue.ts';
import type { VolumeDrivers } from './volume-drivers.ts';
import type { VolumeRecord, VolumeRecords } from './volume-records.ts';

export class VolumeMounts {
  readonly #records: VolumeRecords;
  readonly #drivers: VolumeDrivers;
  readonly #queue: NameQueue;
  readonly #logger: Logger;
  /** Name → holder → how often. */
  readonly #holders = new Map<string, Map<string, number>>();

  constructor(records: VolumeRecords, drivers: VolumeDrivers, queue: NameQueue, logger: Logger) {
    this.#records = records;
    this.#drivers = drivers;
    this.#queue = queue;
    this.#logger = logger;
  }

  isHeld(name: string): boolean {
    return this.#holders.has(name);
  }

  /** The path of the content. */
  acquire(record: VolumeRecord, holder: string): Promise<string> {
    return this.#queue.run(record.name, async () => {
      const path = await this.#mount(record, holder);
      const holders = this.#holders.get(record.name) ?? new Map<string, number>();
      this.#holders.set(record.name, holders.set(holder, (holders.get(holder) ?? 0) + 1));
      return path;
    });
  }

  /** False: the holder did not hold it. The volume counts as free even when it could not be unmounted: then the error says so. */
  release(record: VolumeRecord, holder: string): Promise<boolean> {
    return this.#queue.run(record.name, async () => {
      const holders = this.#holders.get(record.name);
      const count = holders?.get(holder);
      if (holders === undefined || count === undefined) return false;
      if (count > 1) {
        holders.set(holder, count - 1);
        return true;
      }
      holders.delete(holder);
      if (holders.size === 0) this.#holders.delete(record.name);
      if (record.driver !== 'local') await (await this.#drivers.plugin(record.driver)).unmount(record, idOf(record, holder));
      else if (holders.size === 0) await this.#drivers.local.unmount(record);
      return true;
    });
  }

  /** After a start of the daemon: takes over what containers hold, and undoes local mounts that nobody does. */
  async restore(held: readonly { readonly container: string; readonly names: readonly string[] }[]): Promise<void> {
    for (const { container, names } of held) {
      for (const name of names) {
        const holders = this.#holders.get(name) ?? new Map<string, number>();
        this.#holders.set(name, holders.set(container, (holders.get(container) ?? 0) + 1));
      }
    }
    for (const record of this.#records.all()) {
      if (record.driver !== 'local' || this.isHeld(record.name)) continue;
      await this.#drivers.local.unmount(record).catch((thrown) => {
        this.#logger.warn({ volume: record.name, error: errorText(thrown) }, 'a volume that nobody uses stays mounted');
      });
    }
  }

  /** Local mounts are looked for each time, so somebody who unmounted one by hand does no lasting harm. */
  async #mount(record: VolumeRecord, holder: string): Promise<string> {
    if (record.driver === 'local') return await this.#drivers.local.mount(record);
    const plugin = await this.#drivers.plugin(record.driver);
    if (this.#holders.get(record.name)?.has(holder) !== true) return await plugin.mount(record, idOf(record, holder));
    const mountpoint = (await plugin.facts(record.name))?.mountpoint ?? '';
    return mountpoint === '' ? await plugin.mount(record, idOf(record, holder)) : mountpoint;
  }
}

function idOf(record: VolumeRecord, holder: string): string {
  return createHash('sha256').update(`${holder}\0${record.name}`).digest('hex');
}
