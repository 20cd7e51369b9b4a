/** Lists: tags (end-8a, end-8b), referrers (end-12a, end-12b), and Docker's catalogue of repositories. All in pages: `n` at a time, `last` before, `Link` to the next. */
import type { Digest } from '../../base/brand.ts';
import { mediaTypes } from '../../oci/manifest.ts';
import type { Page, PageOf, Registry, RegistryRepository } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { type Exchange, sendJson } from './exchange.ts';

/** Whatever `n` says (SECURITY.md row 29). */
const tagsLimit = 10_000;
const repositoriesLimit = 1000;
/** Descriptors have annotations: an index of so many stays below what clients take. */
const referrersLimit = 500;

export async function listTags(exchange: Exchange, repository: RegistryRepository): Promise<void> {
  const page = pageOf(exchange.query, tagsLimit);
  const { entries, more } = await repository.tags(page);
  if (entries.length === 0 && !repository.exists) {
    throw new RegistryRefusal('NAME_UNKNOWN', `repository name not known to registry: ${repository.name}`, { name: repository.name });
  }
  const link = more ? nextLink(`/v2/${repository.name}/tags/list`, page, entries.at(-1)) : {};
  sendJson(exchange, 200, { name: repository.name, tags: entries }, link);
}

/** Those that whoever asks may read. */
export async function listRepositories(exchange: Exchange, registry: Registry, mayRead: (name: string) => Promise<boolean>): Promise<void> {
  const page = pageOf(exchange.query, repositoriesLimit);
  const { entries, more } = await readableRepositories(registry, page, mayRead);
  sendJson(exchange, 200, { repositories: entries }, more ? nextLink('/v2/_catalog', page, entries.at(-1)) : {});
}

async function readableRepositories(
  registry: Registry,
  { after, limit }: Page,
  mayRead: (name: string) => Promise<boolean>,
): Promise<PageOf<string>> {
  const readable: string[] = [];
  for (let last = after; ; ) {
    const { entries, more } = registry.repositories({ after: last, limit: repositoriesLimit });
    for (const name of entries) {
      if (!(await mayRead(name))) continue;
      if (readable.length === limit) return { entries: readable, more: true };
      readable.push(name);
    }
    last = entries.at(-1) ?? null;
    if (!more || last === null) return { entries: readable, more: false };
    // Others are served between the pages of a long list of which little may be read.
    await new Promise(setImmediate);
  }
}

/** Never 404: an empty index says that nothing refers to it. */
export async function listReferrers(exchange: Exchange, repository: RegistryRepository, subject: Digest): Promise<void> {
  const artifactType = exchange.query.get('artifactType') || null;
  const page = pageOf(exchange.query, referrersLimit);
  const { entries, more } = await repository.referrers(subject, { ...page, artifactType });
  const query = artifactType === null ? {} : { artifactType };
  sendJson(
    exchange,
    200,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries },
    {
      'Content-Type': mediaTypes.ociIndex,
      ...(artifactType === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
      ...(more ? nextLink(`/v2/${repository.name}/referrers/${subject}`, page, entries.at(-1)?.digest, query) : {}),
    },
  );
}

function pageOf(query: URLSearchParams, most: number): Page {
  const [n, last] = [query.get('n'), query.get('last')];
  if (n !== null && !/^\d{1,20}$/.test(n))
    throw new RegistryRefusal('UNSUPPORTED', `n=${n.slice(0, 40)} is not a number of entries`, { n: n.slice(0, 40) }, 400);
  return { after: last || null, limit: n === null ? most : Math.min(Number(n), most) };
}

function nextLink(path: string, { limit }: Page, last: string | undefined, more: Readonly<Record<string, string>> = {}) {
  if (last === undefined) return {};
  const query = new URLSearchParams({ ...more, n: String(limit), last });
  return { Link: `<${path}?${query}>; rel="next"` };
}
