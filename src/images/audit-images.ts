/** Audits images: their records against blobs and layers, and both stores for what no record needs. */
import type { Digest } from '../base/brand.ts';
import type { AuditOptions, Finding } from '../base/finding.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import { auditBlobs } from '../store/audit-blobs.ts';
import type { LayerUsers } from '../store/audit-layers.ts';
import type { OpenLayerStore } from '../store/layers.ts';
import type { ImageRecord, ImageRecords } from './image-records.ts';
import type { ImageStore } from './image-store.ts';

export interface ImageAudit {
  readonly store: ImageStore;
  readonly layers: Pick<OpenLayerStore, 'audit'>;
  /** Layer directory → the container that stands on it, in words. */
  readonly containerLayers: LayerUsers;
}

export async function auditImages({ store, layers, containerLayers }: ImageAudit, options: AuditOptions): Promise<readonly Finding[]> {
  const { records, blobs, leases, sweeper } = store;
  const sweep = () => sweeper.sweep();
  const users = new Map([...containerLayers, ...sweeper.layerOwners(), ...layerUsers(records)]);
  return [
    ...unreadable(store),
    ...(await auditBlobs({ blobs, leases, needed: neededBlobs(records), ownerOf: (digest) => sweeper.ownerOf(digest), sweep }, options)),
    // Layers of an image that is on its way in, or is being built, have no record yet.
    ...(sweeper.isArriving || leases.heldLayers().size > 0 ? [] : await layers.audit(users, sweep)),
  ];
}

function neededBlobs(records: ImageRecords): ReadonlyMap<Digest, string> {
  const needed = new Map<Digest, string>();
  for (const [id, image] of records.unreadable()) for (const blob of image.blobs) needed.set(blob, `image ${id}`);
  for (const record of records.all()) {
    for (const target of record.targets.values()) for (const blob of target.blobs) needed.set(blob, nameOf(records, record));
  }
  return needed;
}

function layerUsers(records: ImageRecords): LayerUsers {
  const users = new Map<string, string>();
  for (const [id, image] of records.unreadable()) for (const directory of image.directories) users.set(directory, `image ${id}`);
  for (const record of records.all()) for (const { directory } of record.layers) users.set(directory, nameOf(records, record));
  return users;
}

function nameOf(records: ImageRecords, { id }: ImageRecord): string {
  const [reference] = records.referencesOf(id);
  return `image ${reference === undefined ? id : familiarReference(parseReference(reference))}`;
}

function unreadable({ records, exclusive, sweeper, users }: ImageStore): readonly Finding[] {
  return [...records.unreadable()].map(([id, { why }]) => ({
    kind: 'row',
    what: `image ${id}`,
    why: `it cannot be used: ${why}. Loading or pulling it again repairs it`,
    repair:
      users(id).length > 0
        ? null
        : {
            does: 'forgets the image',
            run: async () => {
              await exclusive(async () => {
                if (records.unreadable().has(id) && users(id).length === 0) await records.apply([{ kind: 'delete', id }]);
              });
              await sweeper.sweep();
            },
          },
  }));
}
