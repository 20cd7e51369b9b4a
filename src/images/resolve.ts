/**
 * From what a person writes to an image, by Docker's rules: a digest is an id; a name is looked up with `latest` as default tag; what names
 * nothing may be the unique beginning of an id.
 */
import type { Digest, ImageId } from '../base/brand.ts';
import { EngineError, notFound } from '../base/errors.ts';
import { digestHex } from '../oci/digest.ts';
import {
  canonicalName,
  canonicalReference,
  familiarReference,
  type ImageReference,
  parseAnyReference,
  withDefaultTag,
} from '../oci/reference.ts';
import type { ImageRecord, ImageRecords, ReferenceEntry } from './image-records.ts';

export interface Resolved {
  readonly record: ImageRecord;
  /** How it was named: by this reference, or by its id. */
  readonly by: ReferenceEntry | 'id';
}

/** `not-found` in Docker's words; `invalid` for what is no reference at all. */
export function resolveImage(records: ImageRecords, text: string): Resolved {
  const any = parseAnyReference(text);
  if (any.kind === 'digest') {
    const record = records.get(any.digest as string as ImageId);
    if (!record) throw notFound(`No such image: ${any.digest}`);
    return { record, by: 'id' };
  }
  const entry = records.reference(referenceKey(any.reference));
  const named = entry && records.get(entry.id);
  if (named) return { record: named, by: entry };
  const record = findByPrefix(records, text);
  if (!record) throw notFound(`No such image: ${familiarReference(withDefaultTag(any.reference))}`);
  return { record, by: 'id' };
}

export function findImage(records: ImageRecords, text: string): Resolved | null {
  try {
    return resolveImage(records, text);
  } catch (thrown) {
    if (thrown instanceof EngineError && (thrown.code === 'not-found' || thrown.code === 'invalid')) return null;
    throw thrown;
  }
}

/** The key in the records: a digest wins over a tag, as in Docker. */
export function referenceKey(reference: ImageReference): string {
  return reference.digest === null ? canonicalReference(withDefaultTag(reference)) : `${canonicalName(reference)}@${reference.digest}`;
}

export function isDigestKey(key: string): boolean {
  return key.includes('@');
}

function findByPrefix(records: ImageRecords, text: string): ImageRecord | null {
  const prefix = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
  if (!/^[0-9a-f]{1,64}$/.test(prefix)) return null;
  let found: ImageRecord | null = null;
  for (const record of records.all()) {
    if (!digestHex(record.id as string as Digest).startsWith(prefix)) continue;
    if (found) return null;
    found = record;
  }
  return found;
}
