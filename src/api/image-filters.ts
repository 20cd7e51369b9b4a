/** Filters of `GET /images/json`, and those of image prune as the catalogue takes them. */
import { matchesGlob } from 'node:path/posix';
import { invalid } from '../base/errors.ts';
import type { Image, ImageCatalogue, PruneFilters } from '../images/catalogue.ts';
import { booleanFilter, type Filters, requireKnownFilters } from '../wire/filters.ts';
import { nanosecondsToDate, parseTimestamp } from '../wire/timestamps.ts';

const listKeys = new Set(['before', 'dangling', 'label', 'reference', 'since', 'until']);
const pruneKeys = new Set(['all', 'dangling', 'label', 'label!', 'until']);

/** Newest first, as people read it. */
export function listImages(catalogue: ImageCatalogue, filters: Filters): readonly Image[] {
  requireKnownFilters(filters, listKeys);
  const test = imageTest(catalogue, filters);
  const narrowed = catalogue.list().flatMap((image) => {
    const shown = withMatchingReferences(image, filters.reference ?? []);
    return shown !== null && test(shown) ? [shown] : [];
  });
  return narrowed.sort((a, b) => b.localCreatedAt.getTime() - a.localCreatedAt.getTime());
}

function imageTest(catalogue: ImageCatalogue, filters: Filters): (image: Image) => boolean {
  const dangling = booleanFilter(filters, 'dangling');
  const bound = (key: string) => (filters[key] ?? []).map((reference) => catalogue.resolve(reference).localCreatedAt.getTime());
  const before = Math.min(...bound('before'), untilOf(filters)?.getTime() ?? Number.POSITIVE_INFINITY);
  const since = Math.max(...bound('since'), Number.NEGATIVE_INFINITY);
  return (image) => {
    const created = image.localCreatedAt.getTime();
    const isDangling = image.repoTags.length === 0 && image.repoDigests.length === 0;
    return (
      (dangling === null || dangling === isDangling) &&
      created < before &&
      created > since &&
      (filters.label ?? []).every((wanted) => hasLabel(image.config.config.Labels ?? {}, wanted))
    );
  };
}

/** Only the references that were asked for are shown; null: none of them. */
function withMatchingReferences(image: Image, patterns: readonly string[]): Image | null {
  if (patterns.length === 0) return image;
  const matches = (reference: string) => patterns.some((pattern) => matchesReference(reference, pattern));
  const repoTags = image.repoTags.filter(matches);
  const repoDigests = image.repoDigests.filter(matches);
  return repoTags.length === 0 && repoDigests.length === 0 ? null : { ...image, repoTags, repoDigests };
}

/** The pattern may name the repository alone or a whole reference; `*` does not cross a slash. */
function matchesReference(reference: string, pattern: string): boolean {
  const repository = reference.replace(/(?:@[^/]*|:[^/:]*)$/, '');
  try {
    return matchesGlob(reference, pattern) || matchesGlob(repository, pattern);
  } catch (cause) {
    throw invalid(`invalid filter 'reference=${pattern}'`, { cause });
  }
}

export function imagePruneFilters(filters: Filters): PruneFilters {
  requireKnownFilters(filters, pruneKeys);
  return {
    dangling: booleanFilter(filters, 'dangling') ?? booleanFilter(filters, 'all') !== true,
    until: untilOf(filters),
    labels: filters.label ?? [],
    withoutLabels: filters['label!'] ?? [],
  };
}

function untilOf(filters: Filters): Date | null {
  const values = filters.until ?? [];
  if (values.length > 1) throw invalid('more than one until filter specified');
  const [text] = values;
  if (text === undefined) return null;
  return durationAgo(text) ?? nanosecondsToDate(parseTimestamp(text, 'until'));
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Go's durations, `24h` or `1h30m`, count back from now; null when the text is none. */
function durationAgo(text: string): Date | null {
  if (!/^(?:\d+(?:\.\d+)?(?:h|ms|m|s))+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, amount = '0', unit = 's'] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) totalMs += Number(amount) * (unitMs[unit] ?? 0);
  return new Date(Date.now() - totalMs);
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf('=');
  const name = equals === -1 ? wanted : wanted.slice(0, equals);
  return Object.hasOwn(labels, name) && (equals === -1 || labels[name] === wanted.slice(equals + 1));
}
