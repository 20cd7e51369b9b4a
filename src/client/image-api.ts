import type { Readable } from 'node:stream';
import { type ApiClient, pathName } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import type { DigestUse, ImageDifference, ImageTree, ImageVerification } from './image-study-types.ts';
import { jsonValues } from './json-lines.ts';
import { encodeCredentials } from './registry-auth.ts';
import type {
  Filters,
  FoundImage,
  HistoryItem,
  ImageSummary,
  ProgressMessage,
  PruneAnswer,
  RegistryCredentials,
  RemovedItem,
} from './types.ts';

/** `linux/arm64/v8` as the JSON object that API 1.48 and newer read in `platform` parameters of load, save, history and push. */
export function platformJson(platform: string): string {
  if (platform === '') return '';
  const [os = '', architecture = '', variant] = platform.split('/');
  return JSON.stringify({ architecture, os, ...(variant === undefined ? {} : { variant }) });
}

export class ImageApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  list(query: { readonly all?: boolean; readonly filters?: Filters }): Promise<ImageSummary[]> {
    return this.#client.json('GET', '/images/json', { query: { all: query.all, filters: encodeFilters(query.filters) } });
  }

  inspectRaw(name: string, query: { readonly platform?: string } = {}): Promise<string> {
    return this.#client.text('GET', `${image(name)}/json`, { query: { platform: platformJson(query.platform ?? '') } });
  }

  /** Beyond Docker: every image with its platforms, layers and containers. */
  tree(): Promise<readonly ImageTree[]> {
    return this.#client.json('GET', '/images/tree');
  }

  /** Beyond Docker: everything is read again, which takes its time. */
  verify(name: string): Promise<ImageVerification> {
    return this.#client.json('POST', `${image(name)}/verify`);
  }

  /** Beyond Docker. `limit` bounds the changes that are listed, not those that are counted. */
  diff(from: string, to: string, limit: number): Promise<ImageDifference> {
    return this.#client.json('GET', `${image(from)}/diff`, { query: { with: to, limit: String(limit) } });
  }

  /** Beyond Docker: who needs a layer, a manifest or a config. */
  why(digest: string): Promise<DigestUse> {
    return this.#client.json('GET', '/images/why', { query: { digest } });
  }

  history(name: string, platform: string): Promise<HistoryItem[]> {
    return this.#client.json('GET', `${image(name)}/history`, { query: { platform: platformJson(platform) } });
  }

  async tag(source: string, repository: string, tag: string): Promise<void> {
    await this.#client.call('POST', `${image(source)}/tag`, { query: { repo: repository, tag } });
  }

  async remove(
    name: string,
    query: { readonly force: boolean; readonly noPrune: boolean; readonly platforms: readonly string[] },
  ): Promise<readonly RemovedItem[]> {
    const platforms = query.platforms.map(platformJson);
    return (
      (await this.#client.json<RemovedItem[] | null>('DELETE', image(name), {
        query: { force: query.force, noprune: query.noPrune, platforms },
      })) ?? []
    );
  }

  prune(filters: Filters): Promise<PruneAnswer> {
    return this.#client.json('POST', '/images/prune', { query: { filters: encodeFilters(filters) } });
  }

  async load(
    tar: AsyncIterable<Uint8Array>,
    query: { readonly quiet: boolean; readonly platform: string },
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.request('POST', '/images/load', {
      body: tar,
      query: { quiet: query.quiet ? '1' : '0', platform: platformJson(query.platform) },
      headers: { 'Content-Type': 'application/x-tar' },
    });
    return progress(response.body);
  }

  async save(names: readonly string[], platform: string): Promise<Readable> {
    return (await this.#client.request('GET', '/images/get', { query: { names, platform: platformJson(platform) } })).body;
  }

  async importTar(tar: AsyncIterable<Uint8Array>, query: ImportQuery): Promise<AsyncIterable<ProgressMessage>> {
    return this.#import(query, { body: tar, headers: { 'Content-Type': 'text/plain' } });
  }

  /** The daemon fetches the URL itself. */
  async importUrl(url: string, query: ImportQuery): Promise<AsyncIterable<ProgressMessage>> {
    return this.#import({ ...query, source: url }, {});
  }

  async #import(
    query: ImportQuery & { readonly source?: string },
    rest: { body?: AsyncIterable<Uint8Array>; headers?: Record<string, string> },
  ): Promise<AsyncIterable<ProgressMessage>> {
    const { repository, message, changes, platform } = query;
    const response = await this.#client.request('POST', '/images/create', {
      query: { fromSrc: query.source ?? '-', repo: repository, message, changes, platform },
      ...rest,
    });
    return progress(response.body);
  }

  /** `tag`: a tag, a digest, or empty for all tags. */
  async pull(
    repository: string,
    tag: string,
    options: { readonly platform: string; readonly credentials: RegistryCredentials; readonly signal?: AbortSignal },
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.request('POST', '/images/create', {
      query: { fromImage: repository, tag, platform: options.platform },
      headers: { 'X-Registry-Auth': encodeCredentials(options.credentials) },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return progress(response.body);
  }

  async search({ term, limit, filters, credentials }: SearchQuery): Promise<readonly FoundImage[]> {
    const query = { term, limit: limit === 0 ? null : limit, filters: encodeFilters(filters) };
    const headers = { 'X-Registry-Auth': encodeCredentials(credentials) };
    return (await this.#client.json<FoundImage[] | null>('GET', '/images/search', { query, headers })) ?? [];
  }

  async push(
    repository: string,
    tag: string,
    options: { readonly platform: string; readonly credentials: RegistryCredentials },
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.request('POST', `${image(repository)}/push`, {
      query: { tag, platform: platformJson(options.platform) },
      headers: { 'X-Registry-Auth': encodeCredentials(options.credentials) },
    });
    return progress(response.body);
  }
}

export interface SearchQuery {
  /** `[HOST/]WORDS` */
  readonly term: string;
  /** 0: as many as the registry likes. */
  readonly limit: number;
  readonly filters: Filters;
  readonly credentials: RegistryCredentials;
}

export interface ImportQuery {
  readonly repository: string;
  readonly message: string;
  readonly changes: readonly string[];
  readonly platform: string;
}

function image(name: string): string {
  return `/images/${pathName(name)}`;
}

function progress(body: Readable): AsyncIterable<ProgressMessage> {
  return jsonValues(body as AsyncIterable<Buffer>) as AsyncIterable<ProgressMessage>;
}
