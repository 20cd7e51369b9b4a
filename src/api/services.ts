/** What the API stands on; the daemon builds these and hands them in. */
import type { Logger } from '../base/log.ts';
import type { Builder } from '../build/builder.ts';
import type { Containers } from '../containers/containers.ts';
import type { Leases } from '../containers/leases/leases.ts';
import type { Devices } from '../devices/devices.ts';
import type { ImageCatalogue } from '../images/catalogue.ts';
import type { ImageInsight } from '../images/insight.ts';
import type { RegistryManifests } from '../images/registry-manifests.ts';
import type { Transfers } from '../images/transfers.ts';
import type { Networks } from '../network/networks.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { EngineEvents } from './engine-events.ts';
import type { Fsck } from './fsck.ts';
import type { HasHungUp } from './hijack.ts';
import type { SystemFacts } from './system-facts.ts';

/** Where whatever is created belongs to one lease (see lease-routes.ts). */
export interface LeaseSocket {
  readonly address: string;
  close(): void;
}

export interface ApiServices {
  readonly containers: Containers;
  readonly images: ImageCatalogue;
  readonly insight: ImageInsight;
  /** To and from registries. */
  readonly transfers: Transfers;
  readonly manifests: RegistryManifests;
  readonly events: EngineEvents;
  readonly system: SystemFacts;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly devices: Devices;
  readonly leases: Pick<Leases, 'hold'>;
  readonly leaseSockets: { open(lease: string): Promise<LeaseSocket | null> };
  /** Until the daemon has one, builds are refused. */
  readonly builder: Builder;
  readonly fsck: Fsck;
  readonly hasHungUp: HasHungUp;
  readonly logger: Logger;
}
