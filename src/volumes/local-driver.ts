/**
 * The `local` driver: directories of the data root, with something mounted on them while they are in use when the volume has options. Mounts are made in
 * the host's mount namespace, as Docker does: containers, which start with a copy of it, find the content at the same path.
 */
import { lookup } from 'node:dns/promises';
import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { getSystemErrorMessage } from 'node:util';
import { EngineError, errorText } from '../base/errors.ts';
import { withPatience } from '../base/patience.ts';
import type { MountCall } from '../linux/mount-calls.ts';
import { readMountPoints } from '../linux/mount-table.ts';
import { type LocalMount, mountCallsOf, parseLocalOptions, printableData, serverOf, withServerAddress } from './local-options.ts';
import type { LocalPaths } from './local-paths.ts';
import type { DriverFacts, VolumeDriver } from './volume-driver.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeThreads } from './volume-threads.ts';

/** A server may be slow; one that is gone must not hold a container's start or end for ever. */
export interface LocalPatience {
  readonly mountMs: number;
  readonly unmountMs: number;
}

const defaultPatience: LocalPatience = { mountMs: 60_000, unmountMs: 10_000 };

export class LocalDriver implements VolumeDriver {
  readonly name = 'local';
  readonly scope = 'local';
  readonly #paths: LocalPaths;
  readonly #threads: VolumeThreads;
  readonly #patience: LocalPatience;
  /** Given up or not: what is about to be unmounted must not be taken for mounted. */
  readonly #unmounting = new Map<string, Promise<void>>();

  /** `threads` are for mounts alone: one may wait for a server that does not answer. */
  constructor(paths: LocalPaths, threads: VolumeThreads, patience: LocalPatience = defaultPatience) {
    this.#paths = paths;
    this.#threads = threads;
    this.#patience = patience;
  }

  async mount(record: VolumeRecord): Promise<string> {
    const path = this.#paths.data(record.name);
    const options = parseLocalOptions(record.options);
    await this.#awaitUnmounting(path);
    // What an earlier daemon left mounted is the same: it is not mounted on top of itself, nor looked at: its server may be gone.
    if (options !== null && (await readMountPoints()).includes(path)) return path;
    await requireDirectory(path);
    if (options !== null) await this.#mountOptions(await resolved(options), path);
    return path;
  }

  async unmount(record: VolumeRecord): Promise<void> {
    if (isPlain(record)) return;
    const path = this.#paths.data(record.name);
    if (!(await readMountPoints()).includes(path)) return;
    const unmounting = this.#threads.run<void>({ kind: 'unmount', path });
    this.#remember(path, unmounting);
    if ((await withPatience(unmounting, this.#patience.unmountMs)) === 'late') throw hangs('unmounting', path, this.#patience.unmountMs);
  }

  async facts(name: string): Promise<DriverFacts> {
    return { mountpoint: this.#paths.data(name), status: null, createdAt: null };
  }

  #remember(path: string, unmounting: Promise<void>): void {
    const done = unmounting.catch(() => {});
    this.#unmounting.set(path, done);
    void done.then(() => this.#unmounting.get(path) === done && this.#unmounting.delete(path));
  }

  async #awaitUnmounting(path: string): Promise<void> {
    const unmounting = this.#unmounting.get(path);
    if (unmounting === undefined) return;
    if ((await withPatience(unmounting, this.#patience.unmountMs)) === 'late') throw hangs('unmounting', path, this.#patience.unmountMs);
  }

  /** One that succeeds after all, when nobody waits for it any more, is undone. */
  async #mountPatiently(calls: readonly MountCall[], path: string): Promise<void> {
    const mounting = this.#threads.run({ kind: 'mount', calls });
    if ((await withPatience(mounting, this.#patience.mountMs)) !== 'late') return;
    void mounting.then(() => this.#threads.run({ kind: 'unmount', path })).catch(() => {});
    throw hangs('mounting', path, this.#patience.mountMs);
  }

  async #mountOptions(options: LocalMount, path: string): Promise<void> {
    const calls = mountCallsOf(options, path);
    try {
      await this.#mountPatiently(calls, path);
    } catch (thrown) {
      throw mountError(calls[0], path, thrown);
    }
  }
}

function hangs(doing: string, path: string, patienceMs: number): EngineError {
  return new EngineError(
    'unavailable',
    `error while ${doing} volume '${path}': the kernel does not come back from it within ${patienceMs / 1000} s. Is a file server gone?`,
  );
}

/** Without options: a directory and nothing else. */
export function isPlain(record: VolumeRecord): boolean {
  return record.driver === 'local' && record.options.device === undefined;
}

async function requireDirectory(path: string): Promise<void> {
  const stats = await stat(path).catch(() => null);
  if (stats?.isDirectory() === true) return;
  throw new EngineError('system', `error while mounting volume '${path}': the directory is gone: restore it, or remove the volume`);
}

async function resolved(options: LocalMount): Promise<LocalMount> {
  const server = serverOf(options);
  if (server === null) return options;
  if (isIP(server) !== 0) return withServerAddress(options, server);
  try {
    return withServerAddress(options, (await lookup(server)).address);
  } catch (cause) {
    throw new EngineError('system', `error resolving passed in network volume address: lookup ${server}: ${errorText(cause)}`, { cause });
  }
}

function mountError(call: MountCall | undefined, path: string, thrown: unknown): Error {
  const errno = thrown instanceof EngineError ? thrown.details.errno : undefined;
  if (call === undefined || typeof errno !== 'number') return thrown as Error;
  const facts = [`${call.source}:${call.target}`, `flags: 0x${call.flags.toString(16)}`];
  if (call.data !== '') facts.push(`data: ${printableData(call.data)}`);
  return new EngineError(
    'system',
    `error while mounting volume '${path}': failed to mount local volume: mount ${facts.join(', ')}: ${getSystemErrorMessage(-errno)}`,
    { cause: thrown },
  );
}
