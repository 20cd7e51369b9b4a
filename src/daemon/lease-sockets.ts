/**
 * A socket of its own for each held lease: whatever a client creates through it belongs to the lease, without a word from the client. So programs
 * that know nothing of leases (Testcontainers, compose, any SDK) leave nothing behind. As the daemon's own socket in everything else.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { ApiServer } from '../api/api-server.ts';
import type { LeaseSocket } from '../api/services.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { listenOnPath } from './listener.ts';

interface Open {
  readonly server: Server;
  readonly address: Promise<string>;
  users: number;
}

export class LeaseSockets {
  readonly #directory: string;
  readonly #group: DaemonOptions['group'];
  readonly #open = new Map<string, Open>();
  #api: ApiServer | null = null;

  constructor(execRoot: string, group: DaemonOptions['group']) {
    this.#directory = join(execRoot, 'leases');
    this.#group = group;
  }

  /** Handed in when it exists: the API's routes ask for these sockets, so it is made after them. */
  serveWith(api: ApiServer): void {
    // A daemon that crashed left its sockets behind; holders who come back get theirs anew, at the same path.
    rmSync(this.#directory, { recursive: true, force: true });
    this.#api = api;
  }

  /** Null before there is an API. Holders of one lease share its socket. */
  async open(lease: string): Promise<LeaseSocket | null> {
    if (this.#api === null) return null;
    const open = this.#open.get(lease) ?? this.#listen(lease, this.#api);
    open.users += 1;
    const close = () => {
      open.users -= 1;
      if (open.users > 0) return;
      if (this.#open.get(lease) === open) this.#open.delete(lease);
      open.server.close();
      open.server.closeAllConnections();
    };
    try {
      return { address: await open.address, close };
    } catch (error) {
      close();
      throw error;
    }
  }

  close(): void {
    for (const { server } of this.#open.values()) {
      server.close();
      server.closeAllConnections();
    }
    this.#open.clear();
  }

  #listen(lease: string, api: ApiServer): Open {
    const server = api.createListener({ headers: { 'x-gantry-lease': lease } });
    // A socket's path holds 107 bytes, a lease's name may have more.
    const path = join(this.#directory, `${createHash('sha256').update(lease).digest('hex').slice(0, 16)}.sock`);
    const open = { server, address: listenOnPath(server, path, this.#group).then(({ address }) => address), users: 0 };
    this.#open.set(lease, open);
    return open;
  }
}
