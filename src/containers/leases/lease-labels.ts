/**
 * What labels say about how long an object may stay (beyond Docker). They are stored with it, so they outlive every daemon:
 *
 *   gantry.ttl=10m       removed ten minutes after it was created
 *   gantry.lease=NAME    removed when nobody has held the lease NAME for a while (see leases.ts)
 */
import { invalid } from '../../base/errors.ts';
import { parseGoDuration } from '../../base/parse-go-duration.ts';

export const ttlLabel = 'gantry.ttl';
export const leaseLabel = 'gantry.lease';

export type Labels = Readonly<Record<string, string>>;

export function isLeaseName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(text);
}

/** Throws for what no lease can be made of; called before anything is created. */
export function checkLeaseLabels(labels: Labels): void {
  const ttl = labels[ttlLabel];
  if (ttl !== undefined && ttlMs(ttl) === null)
    throw invalid(`invalid label ${ttlLabel}=${ttl}: it must be a duration above zero, for example 10m or 1h30m`);
  const lease = labels[leaseLabel];
  if (lease !== undefined && !isLeaseName(lease))
    throw invalid(`invalid label ${leaseLabel}=${lease}: a lease is named by letters, digits, "_", "." and "-"`);
}

/** Null: no duration above zero. */
export function ttlMs(text: string): number | null {
  try {
    const nanoseconds = parseGoDuration(text);
    return nanoseconds > 0 ? nanoseconds / 1e6 : null;
  } catch {
    return null;
  }
}

export function isLeased(labels: Labels): boolean {
  return labels[ttlLabel] !== undefined || labels[leaseLabel] !== undefined;
}
