/** When what must go. Pure: the time and who holds what are handed in. */
import { type Labels, leaseLabel, ttlLabel, ttlMs } from './lease-labels.ts';

export interface LeasedObject {
  readonly kind: 'container' | 'network' | 'volume';
  /** What it is removed by. */
  readonly reference: string;
  readonly labels: Labels;
  readonly createdAt: Date;
}

/** When a lease that nobody holds ends (milliseconds since 1970); null while somebody holds it. */
export type LeaseEnd = (name: string) => number | null;

/** Milliseconds since 1970; infinity: it may stay for now. */
export function deadlineOf({ labels, createdAt }: LeasedObject, leaseEnd: LeaseEnd): number {
  const { [ttlLabel]: ttl, [leaseLabel]: lease } = labels;
  const lives = ttl === undefined ? null : ttlMs(ttl);
  const byTtl = lives === null ? Number.POSITIVE_INFINITY : createdAt.getTime() + lives;
  const byLease = lease === undefined ? null : leaseEnd(lease);
  return Math.min(byTtl, byLease ?? Number.POSITIVE_INFINITY);
}

const order = ['container', 'network', 'volume'] as const;

/** What is over, containers before what they use; and when to look again (infinity: only when something is created or released). */
export function dueObjects(objects: readonly LeasedObject[], leaseEnd: LeaseEnd, now: number) {
  const dated = objects.map((object) => ({ object, deadline: deadlineOf(object, leaseEnd) }));
  const due = dated.filter(({ deadline }) => deadline <= now).map(({ object }) => object);
  const next = Math.min(...dated.filter(({ deadline }) => deadline > now).map(({ deadline }) => deadline), Number.POSITIVE_INFINITY);
  return { due: due.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind)), next };
}
