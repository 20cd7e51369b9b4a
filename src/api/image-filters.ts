/** Filters of `GET /images/json`, and those of image prune as the catalogue takes them. */
import { matchesGlob } from 'node:path/posix';
import { invalid } from '../base/errors.ts';
import { parseUntil } from '../base/until.ts';
import type { Image, ImageCatalogue, PruneFilters } from '../images/catalogue.ts';
import { booleanFilter, type Filters, requireKnownFilters } from '../wire/filters.ts';

const listKeys = new Set(['before', 'dangling', 'label', 'reference', 'since', 'until']);
const pruneKeys = new Set(['all', 'dangling', 'label', 'label!', 'until']);

/** Newest first, as people read it. An image that nobody named and that others stand on is a step on the way to them: it is shown with `all` only. */
export function shownImages(catalogue: ImageCatalogue, all: boolean): readonly Image[] {
  const images = catalogue.list();
  const parents = new Set(all ? [] : images.map(({ parent }) => parent));
  return images
    .filter((image) => !(hasNoName(image) && parents.has(image.id)))
    .sort((a, b) => b.localCreatedAt.getTime() - a.localCreatedAt.getTime());
}

/** Of those that are shown. */
export function filterImages(images: readonly Image[], catalogue: ImageCatalogue, filters: Filters): readonly Image[] {
  requireKnownFilters(filters, listKeys);
  const test = imageTest(catalogue, filters);
  return images.flatMap((image) => {
    const narrowed = withMatchingReferences(image, filters.reference ?? []);
    return narrowed !== null && test(narrowed) ? [narrowed] : [];
  });
}

function hasNoName({ repoTags, repoDigests }: Image): boolean {
  return repoTags.length === 0 && repoDigests.length === 0;
}

function imageTest(catalogue: ImageCatalogue, filters: Filters): (image: Image) => boolean {
  const dangling = booleanFilter(filters, 'dangling');
  const bound = (key: string) => (filters[key] ?? []).map((reference) => catalogue.resolve(reference).localCreatedAt.getTime());
  const before = Math.min(...bound('before'), untilOf(filters)?.getTime() ?? Number.POSITIVE_INFINITY);
  const since = Math.max(...bound('since'), Number.NEGATIVE_INFINITY);
  return (image) => {
    const created = image.localCreatedAt.getTime();
    return (
      (dangling === null || dangling === hasNoName(image)) &&
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
  return values[0] === undefined ? null : new Date(parseUntil(values[0], Date.now()));
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf('=');
  const name = equals === -1 ? wanted : wanted.slice(0, equals);
  return Object.hasOwn(labels, name) && (equals === -1 || labels[name] === wanted.slice(equals + 1));
}
