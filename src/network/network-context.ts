/** What the verbs of the service share. */
import type { ContainerId } from '../base/brand.ts';
import type { Logger } from '../base/log.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';
import type { Database } from '../store/database.ts';
import type { ContainerLanes } from './container-lanes.ts';
import type { NetCalls, NetFacts } from './net-calls.ts';
import type { SandboxRecord } from './network-record.ts';
import type { Network, NetworkRegistry } from './network-registry.ts';
import type { NetworkSettings } from './network-settings.ts';

export interface NetworkContext {
  readonly database: Database;
  readonly calls: NetCalls;
  readonly settings: NetworkSettings;
  readonly daemonId: string;
  readonly globalName: string;
  readonly logger: Logger;
  readonly facts: NetFacts;
  readonly resolvConf: string;
  readonly registry: NetworkRegistry;
  /** Replaced as a whole at each change. */
  readonly sandboxes: Map<ContainerId, LiveSandbox>;
  readonly lanes: ContainerLanes;
  usersOf(networkId: string, networkName: string): readonly ContainerId[];
  findContainer(reference: string): ContainerId | null;
  publish(action: string, network: Network, attributes?: Readonly<Record<string, string>>): void;
}

export interface LiveSandbox {
  readonly record: SandboxRecord;
  readonly embeddedDns: boolean;
  /** Null: the worker could not take it over after a restart; its addresses stay taken until it is detached. */
  readonly kernel: { readonly namespaceFd: number; readonly keep: readonly KeptDescriptor[] } | null;
}
