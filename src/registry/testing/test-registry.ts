/** A registry of its own in a folder of its own, behind a server on loopback, for tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlobStore, createBlobStore } from '../../store/blobs.ts';
import { openDatabase } from '../../store/database.ts';
import { createLeases, type Leases } from '../../store/leases.ts';
import { openAccess } from '../access.ts';
import { createRegistry, type RegistryOptions } from '../create-registry.ts';
import type { RegistryHandlerOptions } from '../http/registry-handler.ts';
import { createRegistryServer } from '../http/registry-server.ts';
import type { Registry } from '../registry.ts';
import { registryMigrations } from '../registry-migrations.ts';

export interface TestRegistry extends AsyncDisposable {
  readonly registry: Registry;
  readonly blobs: BlobStore;
  readonly leases: Leases;
  readonly folder: string;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  /** As after a restart: the same folder, a new registry and a new server. */
  restart(): Promise<void>;
}

export interface TestRegistryOptions {
  readonly registry?: Partial<RegistryOptions>;
  readonly handler?: Partial<RegistryHandlerOptions>;
}

export async function startTestRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-registry-'));
  let running = await start(folder, options);
  return {
    get registry() {
      return running.registry;
    },
    get blobs() {
      return running.blobs;
    },
    get leases() {
      return running.leases;
    },
    get origin() {
      return running.origin;
    },
    folder,
    async restart() {
      await running.stop();
      running = await start(folder, options);
    },
    async [Symbol.asyncDispose]() {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function start(folder: string, options: TestRegistryOptions) {
  const leases = createLeases();
  const blobs = await createBlobStore({ root: join(folder, 'blobs') });
  const database = await openDatabase(join(folder, 'registry.db'), { migrations: registryMigrations });
  const registry = await createRegistry({ database, blobs, leases, root: folder, ...options.registry });
  const server = createRegistryServer({ registry, access: openAccess, ...options.handler });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    registry,
    blobs,
    leases,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await registry.close();
      await blobs.close();
    },
  };
}
