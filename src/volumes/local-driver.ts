/**
 * The `local` driver: directories of the data root, with something mounted on them while they are in use when the volume has options. Mounts are made in
 * the host's mount namespace, as Docker does: containers, which start with a copy of it, find the content at the same path.
 */
import { lookup } from 'node:dns/promises';
import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { getSystemErrorMessage } from 'node:util';
import { EngineError, errorText } from '../base/errors.ts';
import type { MountCall } from '../linux/mount-calls.ts';
import { readMountPoints } from '../linux/mount-table.ts';
import { type LocalMount, mountCallsOf, parseLocalOptions, printableData, serverOf, withServerAddress } from './local-options.ts';
import type { LocalPaths } from './local-paths.ts';
import type { DriverFacts, VolumeDriver } from './volume-driver.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeThreads } from './volume-threads.ts';

export class LocalDriver implements VolumeDriver {
  readonly name = 'local';
  readonly scope = 'local';
  readonly #paths: LocalPaths;
  readonly #threads: VolumeThreads;

  /** `threads` are for mounts alone: one may wait for a server that does not answer. */
  constructor(paths: LocalPaths, threads: VolumeThreads) {
    this.#paths = paths;
    this.#threads = threads;
  }

  async mount(record: VolumeRecord): Promise<string> {
    const path = this.#paths.data(record.name);
    await requireDirectory(path);
    const options = parseLocalOptions(record.options);
    // What an earlier daemon left mounted is the same: it is not mounted on top of itself.
    if (options !== null && !(await readMountPoints()).includes(path)) await this.#mountOptions(await resolved(options), path);
    return path;
  }

  async unmount(record: VolumeRecord): Promise<void> {
    if (isPlain(record)) return;
    const path = this.#paths.data(record.name);
    if ((await readMountPoints()).includes(path)) await this.#threads.run({ kind: 'unmount', path });
  }

  async facts(name: string): Promise<DriverFacts> {
    return { mountpoint: this.#paths.data(name), status: null, createdAt: null };
  }

  async #mountOptions(options: LocalMount, path: string): Promise<void> {
    const calls = mountCallsOf(options, path);
    try {
      await this.#threads.run({ kind: 'mount', calls });
    } catch (thrown) {
      throw mountError(calls[0], path, thrown);
    }
  }
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
