/** Filters of `volume ls` and `volume prune`, in Docker's words. */
import { invalid } from '../base/errors.ts';
import type { VolumeFilters, VolumeView } from './volumes.ts';

const listKeys = new Set(['dangling', 'driver', 'label', 'name']);
const pruneKeys = new Set(['all', 'label', 'label!']);

export function volumeListTest(filters: VolumeFilters): (volume: VolumeView) => boolean {
  requireKnown(filters, listKeys);
  const dangling = booleanFilter(filters, 'dangling');
  const [drivers, labels, names] = [filters.driver ?? [], filters.label ?? [], filters.name ?? []];
  return (volume) =>
    (dangling === null || dangling === (volume.users.length === 0)) &&
    (drivers.length === 0 || drivers.includes(volume.driver)) &&
    labels.every((wanted) => hasLabel(volume.labels, wanted)) &&
    (names.length === 0 || names.some((part) => volume.name.includes(part)));
}

export interface PruneTest {
  readonly all: boolean;
  matches(labels: Readonly<Record<string, string>>): boolean;
}

export function volumePruneTest(filters: VolumeFilters): PruneTest {
  requireKnown(filters, pruneKeys);
  const [wanted, unwanted] = [filters.label ?? [], filters['label!'] ?? []];
  return {
    all: booleanFilter(filters, 'all') === true,
    matches: (labels) => wanted.every((label) => hasLabel(labels, label)) && !unwanted.some((label) => hasLabel(labels, label)),
  };
}

function requireKnown(filters: VolumeFilters, known: ReadonlySet<string>): void {
  for (const key of Object.keys(filters)) if (!known.has(key)) throw invalid(`invalid filter '${key}'`);
}

function booleanFilter(filters: VolumeFilters, key: string): boolean | null {
  const values = filters[key] ?? [];
  if (values.length === 0) return null;
  const truths = new Set(values.map((value) => truthOf(key, value)));
  if (truths.size > 1) throw invalid(`invalid filter '${key}=[${values.join(' ')}]': true and false at the same time`);
  return truths.has(true);
}

function truthOf(key: string, value: string): boolean {
  if (/^(?:1|true)$/i.test(value)) return true;
  if (/^(?:0|false)$/i.test(value)) return false;
  throw invalid(`invalid filter '${key}=[${value}]': true or false is needed`);
}

/** `key` or `key=value`. */
function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  const key = at === -1 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at === -1 || labels[key] === wanted.slice(at + 1));
}
