/**
 * Annotations as buildx writes their keys:
 *
 *     annotation.K, annotation-manifest.K       of the manifest of the image
 *     annotation-index.K                        of the index
 *     annotation-manifest-descriptor.K          of the entry of the manifest in the index
 *     annotation-index-descriptor.K             of the entry of the index, or of the only manifest, in the index.json of an archive
 *     annotation-manifest[linux/amd64].K        of one platform only
 */
import { invalid } from '../../base/errors.ts';
import { formatPlatform, normalizePlatform, type Platform, parsePlatform } from '../../oci/platform.ts';

export type AnnotationPlace = 'manifest' | 'index' | 'manifest-descriptor' | 'index-descriptor';

export type Annotations = Readonly<Record<string, string>>;

interface Annotation {
  readonly place: AnnotationPlace;
  /** Null: all. */
  readonly platform: string | null;
  readonly name: string;
  readonly value: string;
}

export class OutputAnnotations {
  readonly #all: readonly Annotation[];

  /** `invalid` for keys that say nothing known. */
  constructor(given: ReadonlyMap<string, string>) {
    this.#all = [...given].map(([key, value]) => parse(key, value));
  }

  /** Sorted by name; what names the platform wins. */
  of(place: AnnotationPlace, platform: Platform | null): Annotations {
    const name = platform === null ? null : canonical(platform);
    const fitting = this.#all.filter((each) => each.place === place && (each.platform === null || each.platform === name));
    const general = fitting.filter((each) => each.platform === null);
    const special = fitting.filter((each) => each.platform !== null);
    const entries = [...general, ...special].map((each) => [each.name, each.value] as const);
    return Object.fromEntries([...new Map(entries)].sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  has(place: AnnotationPlace): boolean {
    return this.#all.some((each) => each.place === place);
  }
}

function parse(key: string, value: string): Annotation {
  const match = /^annotation(?:-(manifest|index|manifest-descriptor|index-descriptor))?(?:\[([^\]]+)\])?\.(.+)$/s.exec(key);
  if (match === null)
    throw invalid(
      `invalid annotation ${JSON.stringify(key)}: write annotation.NAME, annotation-index.NAME or annotation[linux/amd64].NAME`,
    );
  const [, place, platform, name = ''] = match;
  return {
    place: (place as AnnotationPlace | undefined) ?? 'manifest',
    platform: platform === undefined ? null : canonical(parsePlatform(platform)),
    name,
    value,
  };
}

function canonical(platform: Platform): string {
  return formatPlatform(normalizePlatform(platform));
}
