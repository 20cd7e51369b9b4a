/**
 * Cache mounts of a RUN, held from before it starts until it has ended. They are taken one after the other in an order that all RUNs share, so that two that lock the same ones never wait for
 * each other; one that a RUN mounts twice is taken once.
 */
import { invalid } from '../../base/errors.ts';
import type { CacheMountName, CacheMounts, HeldCacheMount } from '../cache/build-cache.ts';
import type { Operation, RunMount } from '../plan/operation.ts';
import type { OperationResult } from '../result.ts';
import type { CacheFill } from './cache-fill.ts';
import type { RunRequest } from './run-work.ts';

type CacheMount = RunMount & { readonly type: 'cache' };

export interface HeldMounts {
  directoryOf(mount: CacheMount): string;
  release(): Promise<void>;
}

export interface MountSources {
  readonly cache: CacheMounts;
  readonly fill: CacheFill;
  /** Of one that has no `from`. */
  readonly importedMount: RunRequest['importedMount'];
}

/** Those that start with nothing, each once. */
export function namedMounts(operations: readonly Operation[]): readonly CacheMountName[] {
  const mounts = operations.flatMap((operation) => (operation.kind === 'run' ? operation.mounts : []));
  const named = mounts.flatMap((mount) =>
    mount.type === 'cache' && mount.from === null ? [{ id: mount.id, origin: originOf(mount, new Map()) }] : [],
  );
  return [...new Map(named.map((mount) => [JSON.stringify(mount), mount])).values()];
}

/** Strictest first: who locks a mount has it alone, also from itself. */
const strictness = ['locked', 'private', 'shared'] as const;

export async function holdCacheMounts(
  mounts: readonly CacheMount[],
  inputs: ReadonlyMap<Operation, OperationResult>,
  { cache, fill, importedMount }: MountSources,
  signal: AbortSignal,
): Promise<HeldMounts> {
  const held = new Map<string, HeldCacheMount>();
  const release = async () => {
    await Promise.all([...held.values()].map((mount) => mount.release()));
  };
  const sorted = mounts
    .map((mount) => ({ mount, key: keyOf(mount, inputs) }))
    .sort((a, b) => compare(a.key, b.key) || strictness.indexOf(a.mount.sharing) - strictness.indexOf(b.mount.sharing));
  try {
    for (const { mount, key } of sorted) {
      if (held.has(key)) continue;
      const { id, sharing, mode, uid, gid, from, source } = mount;
      const origin = originOf(mount, inputs);
      const start = async (directory: string) => {
        const result = from === null ? await importedMount({ id, origin }, signal) : resultOf(from, inputs);
        if (result !== null) await fill.fill(result, from === null ? '/' : source, directory, signal);
      };
      held.set(key, await cache.acquire({ id, sharing, origin, mode, uid, gid, fill: start }, signal));
    }
  } catch (error) {
    await release();
    throw error;
  }
  return {
    release,
    directoryOf(mount) {
      const found = held.get(keyOf(mount, inputs));
      if (found === undefined) throw invalid(`the cache mount ${mount.target} is not held`);
      return found.directory;
    },
  };
}

function keyOf(mount: CacheMount, inputs: ReadonlyMap<Operation, OperationResult>): string {
  return JSON.stringify([mount.id, originOf(mount, inputs)]);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Content, not place: another stage with the same files is the same origin. A context's files may be others tomorrow, and are what it starts with all the same. */
function originOf({ from, source }: CacheMount, inputs: ReadonlyMap<Operation, OperationResult>): string {
  if (from === null) return source === '/' ? '' : source;
  const result = resultOf(from, inputs);
  return `${result.kind === 'tree' ? result.identity : 'context'}:${source}`;
}

function resultOf(from: Operation, inputs: ReadonlyMap<Operation, OperationResult>): OperationResult {
  const result = inputs.get(from);
  if (result === undefined) throw invalid('the files that a cache mount starts with are not there');
  return result;
}
