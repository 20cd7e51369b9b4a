/** What the composition root hands to `createNetworks`, and what it gets. */
import type { ContainerId } from '../base/brand.ts';
import type { Finding } from '../base/finding.ts';
import type { Logger } from '../base/log.ts';
import type { Database } from '../store/database.ts';
import type { NetCalls, NetFacts, NetNotice } from './net-calls.ts';
import type { NetworkSettings } from './network-settings.ts';
import type { Networks } from './networks.ts';

export interface NetworkServiceOptions {
  readonly database: Database;
  /** The net worker. The service opens and closes it. */
  readonly calls: NetCalls;
  readonly settings: NetworkSettings;
  /** Ids of the predefined networks and our IPv6 prefix are made from it. */
  readonly daemonId: string;
  /** `gantry` or `gantry-<short id>`: names the nft table and the default bridge. */
  readonly globalName: string;
  readonly logger: Logger;
  /** The host's, unless a test has its own. */
  readonly resolvConf?: string;
  /** Namespaces made ahead (4). */
  readonly pool?: number;
}

/**
 * In this order: `createNetworks` (reads the records, opens the worker, touches no network yet) → `setUsers`, `setContainerLookup` → `restore` (the
 * default bridge and all others are there afterwards) → everything else.
 */
export interface NetworkService extends Networks {
  readonly facts: NetFacts;
  /** It lies in a subnet of one of our bridge networks, and is not the bridge's own. */
  hasAddress(address: string): boolean;
  /** The kernel and the rows against what is attached. */
  audit(): Promise<readonly Finding[]>;
  /** `--link name:alias`: which container a name or id means, running or not. */
  setContainerLookup(find: (reference: string) => ContainerId | null): void;
  /** What the worker tells without being asked goes in here. */
  notice(notice: NetNotice): void;
}
