/** What is kept of a container: one JSON document in the database, written as a whole. */
import type { ContainerId, ImageId } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import type { EndpointSettings } from '../network/networks.ts';
import type { KeptByMonitor } from '../runtime/runtime.ts';
import type { IdRange } from '../runtime/user-namespace.ts';
import type { Database, Durability, Statement } from '../store/database.ts';
import type { LayerRef } from '../store/layer-store.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import type { ContainerMount } from './container-mounts.ts';
import type { GivenDevices } from './given-devices.ts';
import type { Health } from './health.ts';
import { plainMounts } from './mounts.ts';
import type { RestartHistory } from './restart-policy.ts';

export interface ContainerRecord {
  readonly version: 1;
  readonly id: ContainerId;
  /** Without the leading `/`. */
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly path: string;
  readonly args: readonly string[];
  readonly imageId: ImageId;
  /** Name as given at creation. */
  readonly imageReference: string;
  readonly imageSizeBytes: number;
  /** The image's layers, kept here too: `rmi -f` may take the image away, not what the container stands on. */
  readonly layers: readonly LayerRef[];
  readonly platform: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** The network of its mode first. Empty: another container's network, or none at all. */
  readonly networks: readonly StoredEndpoint[];
  /** `--link` on the default bridge, resolved at creation: the other may be renamed. */
  readonly links: readonly StoredLink[];
  readonly mounts: readonly ContainerMount[];
  /** `--userns auto`: its ids on the host, its own until it is removed. */
  readonly idRange?: IdRange;
  readonly state: StoredState;
}

export interface StoredEndpoint {
  readonly network: string;
  /** Null until the container first joined it: which network of that name it will be is not settled yet. */
  readonly networkId: string | null;
  readonly settings: EndpointSettings;
}

export interface StoredLink {
  readonly containerId: ContainerId;
  readonly alias: string;
}

export interface StoredState {
  readonly status: 'created' | 'running' | 'restarting' | 'exited' | 'removing' | 'dead';
  /** Milliseconds since the epoch; null: never. */
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Why the last start failed, or why the exit code is not the process's own. */
  readonly error: string;
  /** A removal that was begun takes the anonymous volumes along; a boot finishes it as it was asked for. */
  readonly removesVolumes?: true;
  /** Absent: never restarted. */
  readonly restarts?: RestartHistory;
  /** Absent: its health is not checked. */
  readonly health?: Health;
  /** While it runs: what its monitor keeps, for a daemon that finds a monitor which does not answer. */
  readonly kept?: KeptByMonitor;
  /** From before its process starts: what it has been granted. With an end: what may not have been cleared away yet. */
  readonly devices?: GivenDevices;
}

export class ContainerRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async all(): Promise<readonly ContainerRecord[]> {
    const rows = await this.#database.query<{ id: string; record: string }>('SELECT id, record FROM containers ORDER BY created_at, rowid');
    return rows.map(({ id, record }) => parseRecord(id, record));
  }

  async insert(record: ContainerRecord): Promise<void> {
    const sql = 'INSERT INTO containers (id, name, created_at, record) VALUES (?, ?, ?, ?)';
    await this.#write(durabilityOf(record), sql, [record.id, record.name, record.createdAt, JSON.stringify(record)]);
  }

  /** Run-state changes are `normal`: they survive a crash of the daemon, and after a power loss nothing runs anyway. */
  async update(record: ContainerRecord, durability: Durability = 'normal'): Promise<void> {
    const sql = 'UPDATE containers SET name = ?, record = ? WHERE id = ?';
    await this.#write(durability, sql, [record.name, JSON.stringify(record), record.id]);
  }

  async delete(record: ContainerRecord): Promise<void> {
    await this.#write(durabilityOf(record), 'DELETE FROM containers WHERE id = ?', [record.id]);
  }

  async #write(durability: Durability, sql: string, params: Statement['params']): Promise<void> {
    await this.#database.write(durability, [{ sql, params }]);
  }
}

/** A container that removes itself is not worth an fsync. */
function durabilityOf(record: ContainerRecord): Durability {
  return record.hostConfig.AutoRemove ? 'normal' : 'full';
}

function parseRecord(id: string, text: string): ContainerRecord {
  const record = JSON.parse(text) as ContainerRecord & Partial<Pick<ContainerRecord, 'networks' | 'links'>>;
  if (record.version !== 1) throw new EngineError('system', `container ${id} was written by a newer version of Gantry; run that version`);
  // Records from before there were networks have neither, and mounts as inspect lists them.
  const mounts =
    record.mounts.every((mount) => 'kind' in mount) && record.networks !== undefined ? record.mounts : plainMounts(record.hostConfig);
  return { ...record, networks: record.networks ?? [], links: record.links ?? [], mounts };
}
