/** Figures of steps as BuildKit's displays write them. */
import type { VertexProgress } from '../../../client/build-types.ts';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `123B`, `1.23MB`: powers of 1000. */
export function amountText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(2)}${UNITS[unit]}`;
}

/** `1.20MB / 3.40MB`; a blank in front; empty where there is nothing to tell. */
export function amountsText({ current, total }: VertexProgress): string {
  if (total > 0) return ` ${amountText(current)} / ${amountText(total)}`;
  return current > 0 ? ` ${amountText(current)}` : '';
}

const LEAST_SECONDS = 0.01;

/** ` 0.5s done` */
export function statusTimeText({ startedAt, completedAt }: VertexProgress, now: Date): string {
  const seconds = ((completedAt ?? now).getTime() - startedAt.getTime()) / 1000;
  return `${seconds > LEAST_SECONDS ? ` ${seconds.toFixed(1)}s` : ''}${completedAt === undefined ? '' : ' done'}`;
}
