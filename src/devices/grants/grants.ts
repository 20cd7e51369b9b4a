/**
 * Who has which devices, in memory. Nothing here waits: looking whether something is free and taking it happens in one turn of the event loop, so that two starts
 * never get the same exclusive device.
 */
import type { DeviceHolder, HeldDevice } from '../devices.ts';

export interface Holding {
  readonly holder: DeviceHolder;
  readonly held: readonly HeldDevice[];
}

export interface HeldBy {
  readonly holder: DeviceHolder;
  readonly exclusive: boolean;
}

export class Grants {
  readonly #holdings = new Map<string, Holding>();

  /** Instead of what the holder had. */
  hold(holder: DeviceHolder, held: readonly HeldDevice[]): void {
    if (held.length === 0) this.#holdings.delete(holder.id);
    else this.#holdings.set(holder.id, { holder, held });
  }

  release(holderId: string): void {
    this.#holdings.delete(holderId);
  }

  heldOf(holderId: string): readonly HeldDevice[] {
    return this.#holdings.get(holderId)?.held ?? [];
  }

  holdings(): readonly Holding[] {
    return [...this.#holdings.values()];
  }

  /** Holders of anything that is called one of these names, each once. */
  heldBy(names: ReadonlySet<string>): readonly HeldBy[] {
    return this.holdings().flatMap(({ holder, held }) => {
      const same = held.filter(({ device }) => names.has(device));
      return same.length === 0 ? [] : [{ holder, exclusive: same.some(({ exclusive }) => exclusive) }];
    });
  }
}
