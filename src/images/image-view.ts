/** An image as others see it, made from its record. */
import type { ImageId } from '../base/brand.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import type { Image } from './catalogue.ts';
import type { ImageRecord, ImageRecords } from './image-records.ts';
import { isDigestKey } from './resolve.ts';

export function viewImage(records: ImageRecords, record: ImageRecord): Image {
  return {
    id: record.id,
    repoTags: familiarTags(records, record.id),
    repoDigests: familiar(records.referencesOf(record.id).filter(isDigestKey)),
    config: record.config,
    sizeBytes: sizeOf(record),
    localCreatedAt: record.createdAt,
    lastTagTime: record.lastTagTime,
    layers: record.layers,
    diffIds: record.config.rootfs.diff_ids,
    parent: record.parent,
  };
}

export function familiarTags(records: ImageRecords, id: ImageId): readonly string[] {
  return familiar(records.referencesOf(id).filter((key) => !isDigestKey(key)));
}

export function familiar(references: readonly string[]): readonly string[] {
  return references.map((reference) => familiarReference(parseReference(reference))).sort();
}

export function sizeOf(record: ImageRecord): number {
  return record.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
