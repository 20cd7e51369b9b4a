/**
 * Docker's search: the index of Docker Hub for plain terms, and of another registry for `host/term`, by the old `/v1/search` where there is one, else by what its
 * catalog lists under the term.
 */

import { isObject, parseJsonObject } from '../oci/json.ts';
import { splitSearchTerm } from '../oci/search-term.ts';
import { printable } from './answer-failure.ts';
import { createEndpointSession, type EndpointSession, type SessionContext } from './endpoint-session.ts';
import { registryEndpoint } from './endpoints.ts';
import { discard, readWhole } from './http-transport.ts';
import { listNames } from './name-lists.ts';
import type { SearchOptions, SearchResult } from './registry-client.ts';

const answerLimitBytes = 4 * 1024 * 1024;

export async function searchImages(context: SessionContext, text: string, options: SearchOptions): Promise<readonly SearchResult[]> {
  const { domain, term } = splitSearchTerm(text);
  const isHub = domain === 'docker.io';
  const endpoint = isHub
    ? { host: 'index.docker.io', scheme: 'https' as const, isVerified: true, pathPrefix: '', registryOf: 'index.docker.io' }
    : registryEndpoint(context.settings, domain);
  const session = createEndpointSession(context, endpoint, options.credentials);
  const found = (await byIndex(session, term, options)) ?? (await byCatalog(session, term, options));
  return found
    .filter((result) => passes(result, options))
    .slice(0, options.limit)
    .map(({ isAutomated: _, ...result }) => result);
}

interface Found extends SearchResult {
  readonly isAutomated: boolean;
}

/** Null: this registry has no index. */
async function byIndex(session: EndpointSession, term: string, { limit, signal }: SearchOptions): Promise<readonly Found[] | null> {
  const query = { q: term, n: String(limit) };
  const answer = await session.send({
    method: 'GET',
    path: '/v1/search',
    query,
    headers: { accept: 'application/json' },
    scopes: [],
    signal,
  });
  const isJson = (answer.headers['content-type'] ?? '').includes('json');
  if (answer.status !== 200 || !isJson) {
    if (![200, 400, 404, 405].includes(answer.status)) throw await session.failure(answer);
    discard(answer);
    return null;
  }
  const document = parseJsonObject(
    await readWhole(answer, answerLimitBytes, session.settings.stallMs, 'the search result'),
    'the search result',
  );
  const results: readonly unknown[] = Array.isArray(document.results) ? document.results : [];
  return results.filter(isObject).map((result) => ({
    name: textOf(result.name),
    description: textOf(result.description),
    starCount: typeof result.star_count === 'number' ? result.star_count : 0,
    isOfficial: result.is_official === true,
    isAutomated: result.is_automated === true,
  }));
}

async function byCatalog(session: EndpointSession, term: string, { limit, signal }: SearchOptions): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const name of listNames(session, { path: '/v2/_catalog', key: 'repositories', scopes: ['registry:catalog:*'], signal })) {
    if (name.includes(term)) found.push({ name, description: '', starCount: 0, isOfficial: false, isAutomated: false });
    if (found.length >= limit) break;
  }
  return found;
}

function passes(result: Found, { official, automated, minStars }: SearchOptions): boolean {
  const isWanted = (wanted: boolean | null, is: boolean): boolean => wanted === null || wanted === is;
  return isWanted(official, result.isOfficial) && isWanted(automated, result.isAutomated) && result.starCount >= minStars;
}

/** Anybody may describe an image, and terminals print it. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? printable(value) : '';
}
