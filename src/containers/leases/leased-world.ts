/** The engine as leases see it: containers, networks and volumes that carry one of their labels. */
import type { Networks } from '../../network/networks.ts';
import type { Volumes } from '../../volumes/volumes.ts';
import type { Containers } from '../containers.ts';
import type { LeasedObject } from './lease-deadlines.ts';
import { isLeased, leaseLabel, ttlLabel } from './lease-labels.ts';
import type { LeasedWorld } from './leases.ts';

export function leasedWorld(containers: Containers, networks: Networks, volumes: Volumes): LeasedWorld {
  return {
    async list() {
      const [withTtl, withLease, ofNetworks, ofVolumes] = await Promise.all([
        leasedContainers(containers, ttlLabel),
        leasedContainers(containers, leaseLabel),
        networks.list({}),
        volumes.list({}),
      ]);
      return [
        ...new Map([...withTtl, ...withLease].map((object) => [object.reference, object])).values(),
        ...ofNetworks.map(({ id, labels, createdAt }): LeasedObject => ({ kind: 'network', reference: id, labels, createdAt })),
        ...ofVolumes.volumes.map(({ name, labels, createdAt }): LeasedObject => ({ kind: 'volume', reference: name, labels, createdAt })),
      ].filter(({ labels }) => isLeased(labels));
    },
    async remove({ kind, reference }) {
      if (kind === 'container') await containers.remove(reference, { force: true, volumes: true });
      else if (kind === 'network') await networks.remove(reference);
      else await volumes.remove(reference, { force: false });
    },
    onCreated(listener) {
      containers.onEvent(({ action, attributes }) => {
        if (action === 'create' && isLeased(attributes)) listener();
      });
      for (const source of [networks, volumes]) {
        source.onEvent(({ action }) => {
          if (action === 'create') listener();
        });
      }
    },
  };
}

async function leasedContainers(containers: Containers, label: string): Promise<readonly LeasedObject[]> {
  const found = await containers.list({ all: true, limit: null, size: false, filters: { label: [label] } });
  return found.map(({ id, config, createdAt }) => ({ kind: 'container', reference: id, labels: config.Labels, createdAt }));
}
