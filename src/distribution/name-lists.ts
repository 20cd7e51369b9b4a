/** Lists that come in pages: tags of a repository, repositories of a registry. Pages lead on by `Link`, at the same origin only, and never in a circle. */
import { isObject, parseJsonObject } from '../oci/json.ts';
import { failureOf } from './answer-failure.ts';
import type { EndpointSession } from './endpoint-session.ts';
import { type HttpAnswer, readWhole } from './http-transport.ts';
import { nextLink } from './link-header.ts';
import { ruleAfter } from './redirect.ts';
import { RegistryError } from './registry-error.ts';

/** Read in one turn of the event loop. */
const pageLimitBytes = 4 * 1024 * 1024;
const pagesLimit = 10_000;
const namesAPage = '1000';

export interface ListQuestion {
  readonly path: string;
  /** Key of the list in each page: `tags`. */
  readonly key: string;
  readonly scopes: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export async function* listNames(session: EndpointSession, question: ListQuestion): AsyncGenerator<string, void, undefined> {
  for await (const page of pages(session, { ...question, query: { n: namesAPage } })) {
    const names: unknown = page.document[question.key];
    // Docker's registry says null of an empty list.
    if (names !== null && !Array.isArray(names)) throw odd(page.answer, `a page has no list of ${question.key}`);
    for (const name of names ?? []) if (typeof name === 'string') yield name;
  }
}

export interface PageQuestion {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly scopes: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export async function* pages(session: EndpointSession, question: PageQuestion) {
  const { scopes, signal, headers, query } = question;
  const common = { method: 'GET', scopes, signal, ...(headers ? { headers } : {}) };
  const seen = new Set<string>();
  let answer = await session.expect({ ...common, path: question.path, ...(query ? { query } : {}) }, 200);
  for (let count = 1; ; count++) {
    seen.add(answer.url.href);
    const bytes = await readWhole(answer, pageLimitBytes, session.settings.stallMs, 'a page of the list');
    yield { document: parsePage(answer, bytes), bytes, answer };
    const link = nextLink(answer.headers.link === undefined ? undefined : String(answer.headers.link));
    if (link === null) return;
    const url = nextPage(answer, link);
    if (seen.has(url.href) || count >= pagesLimit) throw odd(answer, 'its pages lead in a circle');
    // A redirect may have led elsewhere: the address of what is asked next was not named by a person.
    answer = await session.expect({ ...common, path: { url, addresses: ruleAfter(answer) } }, 200);
  }
}

function parsePage(answer: HttpAnswer, bytes: Uint8Array) {
  try {
    const document = parseJsonObject(bytes, 'a page');
    if (isObject(document)) return document;
  } catch {
    // told below
  }
  throw odd(answer, 'a page of the list is not a JSON object');
}

function nextPage(answer: HttpAnswer, link: string): URL {
  let url: URL;
  try {
    url = new URL(link, answer.url);
  } catch {
    throw odd(answer, 'the link to the next page is not a URL');
  }
  // The same host by another scheme: a registry that does not know that TLS is spoken before it.
  if (url.host === answer.url.host && url.protocol === 'http:') url = new URL(answer.url.origin + url.pathname + url.search);
  if (url.origin !== answer.url.origin) throw odd(answer, `the next page is said to be at ${url.host}, another server`);
  return url;
}

function odd(answer: HttpAnswer, why: string): RegistryError {
  return new RegistryError('unavailable', `${answer.url.host}: ${why}`, { ...failureOf(answer, null), retryable: false });
}
