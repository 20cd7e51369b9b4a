/**
 * What the sweep must not take although nothing recorded needs it yet: the bytes of a running load, import, save or build.
 *
 * Leases live in memory. Whoever holds one dies with the daemon, and what it held is swept at the next start.
 */
import type { Digest } from '../base/brand.ts';

export interface Lease extends Disposable {
  /** Hold before the bytes become visible, or before checking that they are there: both are then safe from a sweep at any moment after. */
  hold(blob: Digest): void;
  /** A directory name of the layer store, before it is made. */
  holdLayer(name: string): void;
  release(): void;
}

export interface Leases {
  acquire(): Lease;
  holds(blob: Digest): boolean;
  holdsLayer(name: string): boolean;
  /** Names of directories that somebody holds: there, or about to be. */
  heldLayers(): ReadonlySet<string>;
  /** Nobody holds one. */
  readonly idle: boolean;
}

export function createLeases(): Leases {
  const open = new Set<{ readonly blobs: Set<Digest>; readonly layers: Set<string> }>();
  return {
    acquire() {
      const held = { blobs: new Set<Digest>(), layers: new Set<string>() };
      open.add(held);
      const release = () => void open.delete(held);
      return {
        hold: (blob) => void held.blobs.add(blob),
        holdLayer: (name) => void held.layers.add(name),
        release,
        [Symbol.dispose]: release,
      };
    },
    holds: (blob) => open.values().some(({ blobs }) => blobs.has(blob)),
    get idle() {
      return open.size === 0;
    },
    holdsLayer: (name) => open.values().some(({ layers }) => layers.has(name)),
    heldLayers: () => new Set([...open].flatMap(({ layers }) => [...layers])),
  };
}
