/**
 * The servers of the host's resolv.conf, followed while it changes: by rename (resolvconf, NetworkManager, `ln -sf`) as well as by writing. A server that stays
 * keeps its sockets and what we know of its health; one that goes still answers what it was asked. No file: no servers.
 */
import { type FSWatcher, readFileSync, realpathSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { errorText, hasErrnoCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type AskSettings, askSettings, parseResolvConf } from './resolv-conf.ts';
import { Upstream } from './upstream.ts';

export interface HostServersOptions {
  readonly path: string;
  readonly port: number;
  readonly logger: Logger;
  /** For what no watch tells: a file system without it, a limit reached, a file bound over the path. */
  readonly pollMs: number;
}

/** A rewrite is seen in several steps, the first of which may be an empty file. */
const settleMs = 60;
/** As the C library. */
const mostServers = 3;

export class HostServers {
  #upstreams: readonly Upstream[] = [];
  #settings: AskSettings = askSettings([]);
  readonly #options: HostServersOptions;
  readonly #poll: NodeJS.Timeout;
  #watched: { readonly directories: string; readonly watchers: readonly FSWatcher[] } = { directories: '', watchers: [] };
  #settle: NodeJS.Timeout | null = null;
  #seen = '';
  #closed = false;

  constructor(options: HostServersOptions) {
    this.#options = options;
    this.#read();
    this.#watch();
    this.#poll = setInterval(() => this.#look(), options.pollMs).unref();
  }

  get upstreams(): readonly Upstream[] {
    return this.#upstreams;
  }

  get settings(): AskSettings {
    return this.#settings;
  }

  /** Reads when the file is another or has changed. Two calls that cannot wait, on a file of the host's root. */
  #look(): void {
    if (this.#closed) return;
    this.#watch();
    if (fingerprint(this.#options.path) !== this.#seen) this.#read();
  }

  #read(): void {
    const { path, port, logger } = this.#options;
    this.#seen = fingerprint(path);
    let text = '';
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if (!hasErrnoCode(error, 'ENOENT', 'ENOTDIR'))
        logger.warn({ path, error: errorText(error) }, 'cannot read the resolver configuration of the host');
    }
    const conf = parseResolvConf(text);
    this.#settings = askSettings(conf.options);
    const addresses = [...new Set(conf.nameservers)].slice(0, mostServers);
    const before = this.#upstreams;
    this.#upstreams = addresses.map(
      (address) => before.find((upstream) => upstream.address === address) ?? new Upstream(address, port, null),
    );
    for (const upstream of before) if (!this.#upstreams.includes(upstream)) upstream.retire();
    if (before.map(({ address }) => address).join() !== addresses.join())
      logger.info({ path, servers: addresses }, 'DNS servers of the host');
  }

  /** The directory of the path, and where it leads to: a link is replaced in one, its target rewritten in the other. */
  #watch(): void {
    const { path, logger } = this.#options;
    const directories = [...new Set([dirname(path), dirname(realPath(path))])];
    if (directories.join('\n') === this.#watched.directories) return;
    for (const watcher of this.#watched.watchers) watcher.close();
    const watchers = directories.flatMap((directory) => {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#changed());
        watcher.on('error', () => watcher.close());
        return [watcher];
      } catch (error) {
        logger.debug({ directory, error: errorText(error) }, 'the resolver configuration of the host is looked at now and then only');
        return [];
      }
    });
    this.#watched = { directories: directories.join('\n'), watchers };
  }

  #changed(): void {
    if (this.#settle !== null) return;
    this.#settle = setTimeout(() => {
      this.#settle = null;
      this.#look();
    }, settleMs).unref();
  }

  sweep(now: number): void {
    for (const upstream of this.#upstreams) upstream.sweep(now);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#settle ?? undefined);
    for (const watcher of this.#watched.watchers) watcher.close();
    for (const upstream of this.#upstreams) upstream.retire();
  }
}

function fingerprint(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
