/**
 * `--userns auto`: each container gets a range of ids of its own, from a pool of the host's. The container's record keeps it, so a range is free again when the
 * container is removed. Ranges of containers that are just being created are known here only.
 */
import { EngineError, invalid } from '../base/errors.ts';
import type { IdRange } from '../runtime/user-namespace.ts';
import type { HostFacts } from './host-facts.ts';

/** Where ranges come from: host ids `base` to `base + size - 1`. */
export type IdPool = IdRange;

const defaultSize = 65536;
/** From the kernel's change that lets an overlay stand on layers with mapped owners. */
const neededKernel = { major: 5, minor: 19 };

/** How many ids a mode asks for; null: none of its own. */
export function askedIds(mode: string): number | null {
  if (mode === '' || mode === 'host') return null;
  const match = /^auto(?::size=(\d{1,10}))?$/.exec(mode);
  if (match === null) throw invalid(`invalid userns mode: ${mode}. Use host, auto, or auto:size=N`);
  const size = match[1] === undefined ? defaultSize : Number(match[1]);
  if (size < 1 || size > 2 ** 31) throw invalid(`invalid userns mode: ${mode}: a container has from 1 to ${2 ** 31} ids`);
  return size;
}

export function requireUserNamespaces({ kernel }: Pick<HostFacts, 'kernel'>): void {
  if (kernel.major > neededKernel.major || (kernel.major === neededKernel.major && kernel.minor >= neededKernel.minor)) return;
  throw new EngineError(
    'not-implemented',
    `--userns auto needs Linux ${neededKernel.major}.${neededKernel.minor} (mapped owners below an overlay), this host has ${kernel.major}.${kernel.minor}: use --userns host`,
  );
}

export class IdRanges {
  readonly #pool: IdPool;
  readonly #claimed = new Set<IdRange>();

  constructor(pool: IdPool) {
    this.#pool = pool;
  }

  /** `taken`: of all containers there are. Until `settle` it is taken too. */
  claim(size: number, taken: readonly IdRange[]): IdRange {
    const base = firstGap(this.#pool, size, [...taken, ...this.#claimed]);
    if (base === null) {
      const { base: first, size: count } = this.#pool;
      throw new EngineError(
        'conflict',
        `no ${size} ids in a row are left for a user namespace in the pool ${first}-${first + count - 1}: remove containers, or give the daemon more (--userns-pool FIRST:COUNT)`,
      );
    }
    const range = { base, size };
    this.#claimed.add(range);
    return range;
  }

  /** It is in a record now, or not needed. */
  settle(range: IdRange): void {
    this.#claimed.delete(range);
  }
}

function firstGap(pool: IdPool, size: number, taken: readonly IdRange[]): number | null {
  let base = pool.base;
  for (const range of taken.toSorted((a, b) => a.base - b.base)) {
    if (range.base + range.size <= base) continue;
    if (range.base - base >= size) break;
    base = range.base + range.size;
  }
  return base + size <= pool.base + pool.size ? base : null;
}
