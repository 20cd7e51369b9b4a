/** What is stored of a network, and of the containers that are connected to some; JSON in the metadata database. */
import type { ContainerId } from '../base/brand.ts';
import type { Database, Statement } from '../store/database.ts';
import type { EndpointSpec, LentDevice, PortResult, PortSpec } from './net-calls.ts';
import type { DnsWishes, EndpointState, NetworkView } from './networks.ts';
import type { WishedPort } from './port-wishes.ts';

export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  /** Milliseconds. */
  readonly createdAt: number;
  readonly driver: NetworkView['driver'];
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  readonly configFrom: string;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly ipam: NetworkView['ipam'];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly predefined: boolean;
  /** Device of a bridge network; ''. */
  readonly bridge: string;
  /** The device is ours to remove. */
  readonly ownBridge: boolean;
  readonly v4: NetworkSubnet | null;
  readonly v6: NetworkSubnet | null;
}

/** What one family of a network has. Texts are canonical. */
export interface NetworkSubnet {
  readonly subnet: string;
  readonly range: string | null;
  /** '' : none, it is isolated. */
  readonly gateway: string;
  /** `--default-gateway`: where containers of the default bridge send their packets, when that is not the bridge; ''. */
  readonly router: string;
  readonly auxiliary: Readonly<Record<string, string>>;
  /** A person named the subnet: fixed addresses are allowed. */
  readonly named: boolean;
}

/** A container with a network of its own, as long as it runs. */
export interface SandboxRecord {
  readonly containerId: ContainerId;
  readonly containerName: string;
  readonly hostname: string;
  readonly dns: DnsWishes;
  /** `80/tcp` */
  readonly exposed: readonly string[];
  /** What was asked, and what the worker was told for it: one for one, or nothing while no network of the container leads to the host. */
  readonly wishes: readonly WishedPort[];
  readonly ports: readonly PortSpec[];
  readonly published: readonly PortResult[];
  /** In the order of their interfaces. */
  readonly endpoints: readonly EndpointRecord[];
  /** Interfaces of the host that it has. */
  readonly lent?: readonly LentDevice[];
}

export interface EndpointRecord {
  readonly networkId: string;
  readonly spec: EndpointSpec;
  readonly state: EndpointState;
}

export async function readNetworks(database: Database): Promise<NetworkRecord[]> {
  const rows = await database.query<{ record: string }>('SELECT record FROM networks ORDER BY created_at, id');
  return rows.map(({ record }) => JSON.parse(record) as NetworkRecord);
}

export async function readSandboxes(database: Database): Promise<SandboxRecord[]> {
  const rows = await database.query<{ record: string }>('SELECT record FROM network_sandboxes');
  return rows.map(({ record }) => JSON.parse(record) as SandboxRecord);
}

export function saveNetwork(record: NetworkRecord): Statement {
  return {
    sql: 'INSERT INTO networks (id, name, created_at, record) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET record = ?4',
    params: [record.id, record.name, record.createdAt, JSON.stringify(record)],
  };
}

export function deleteNetwork(id: string): Statement {
  return { sql: 'DELETE FROM networks WHERE id = ?', params: [id] };
}

export function saveSandbox(record: SandboxRecord): Statement {
  return {
    sql: 'INSERT INTO network_sandboxes (container_id, record) VALUES (?1, ?2) ON CONFLICT (container_id) DO UPDATE SET record = ?2',
    params: [record.containerId, JSON.stringify(record)],
  };
}

export function deleteSandbox(containerId: ContainerId): Statement {
  return { sql: 'DELETE FROM network_sandboxes WHERE container_id = ?', params: [containerId] };
}
