/**
 * The embedded DNS of all containers, in the net worker's thread. The names of all networks are here once; each container (sandbox) has two sockets inside its
 * namespace, which 127.0.0.11:53 leads to there. The descriptors given become ours and are closed with the sandbox; whoever wants the sockets to outlive us
 * (the monitor) keeps duplicates.
 */
import { EngineError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DnsSpec } from '../net-calls.ts';
import { DnsSandbox, type DnsSockets } from './dns-sandbox.ts';
import { HostServers } from './host-servers.ts';
import { type DnsEndpoint, NameTable } from './name-table.ts';
import { hostResolvConf } from './resolv-conf.ts';
import type { OpenUpstream } from './upstream.ts';

export type { DnsSockets } from './dns-sandbox.ts';
export type { DnsEndpoint } from './name-table.ts';
export type { OpenUpstream } from './upstream.ts';

export interface DnsServerOptions {
  readonly logger: Logger;
  /** The host's: followed while it changes. */
  readonly resolvConf?: string;
  /** Where servers listen; another than 53 in tests. */
  readonly upstreamPort?: number;
  readonly pollMs?: number;
}

const sweepMs = 5_000;

export class DnsServer {
  readonly #names = new NameTable();
  readonly #host: HostServers;
  readonly #port: number;
  readonly #sandboxes = new Map<string, DnsSandbox>();
  readonly #sweep: NodeJS.Timeout;

  constructor({ logger, resolvConf = hostResolvConf, upstreamPort = 53, pollMs = 5_000 }: DnsServerOptions) {
    this.#port = upstreamPort;
    this.#host = new HostServers({ path: resolvConf, port: upstreamPort, logger, pollMs });
    this.#sweep = setInterval(() => {
      const now = Date.now();
      this.#host.sweep(now);
      for (const sandbox of this.#sandboxes.values()) sandbox.sweep(now);
    }, sweepMs).unref();
  }

  /** Resolves when both sockets are served; when it fails, they are closed. `openUpstream` makes sockets inside the container's namespace. */
  async addSandbox(id: string, spec: DnsSpec, sockets: DnsSockets, openUpstream: OpenUpstream): Promise<void> {
    this.removeSandbox(id);
    const sandbox = new DnsSandbox({ names: this.#names, host: this.#host, port: this.#port }, spec, openUpstream);
    this.#sandboxes.set(id, sandbox);
    try {
      await sandbox.serve(sockets);
    } catch (error) {
      if (this.#sandboxes.get(id) === sandbox) this.#sandboxes.delete(id);
      throw new EngineError('system', `cannot serve DNS to container ${id}`, { cause: error });
    }
  }

  updateSandbox(id: string, spec: DnsSpec): void {
    this.#sandboxes.get(id)?.update(spec);
  }

  /** Nothing when there is none. */
  removeSandbox(id: string): void {
    this.#sandboxes.get(id)?.close();
    this.#sandboxes.delete(id);
  }

  sandboxIds(): readonly string[] {
    return [...this.#sandboxes.keys()];
  }

  /** Takes the place of one with this id. */
  addEndpoint(endpoint: DnsEndpoint): void {
    this.#names.add(endpoint);
  }

  setNames(endpointId: string, names: readonly string[]): void {
    this.#names.setNames(endpointId, names);
  }

  removeEndpoint(id: string): void {
    this.#names.remove(id);
  }

  close(): void {
    clearInterval(this.#sweep);
    for (const id of [...this.#sandboxes.keys()]) this.removeSandbox(id);
    this.#host.close();
  }
}
