import type { ApiClient } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import { jsonValues } from './json-lines.ts';
import type { DiskUsageAnswer, EventMessage, Filters, FsckAnswer, RegistryCredentials, VersionAnswer } from './types.ts';
import type { UsageTableAnswer } from './usage-table-types.ts';

export class SystemApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  async ping(): Promise<void> {
    await this.#client.call('GET', '/_ping');
  }

  version(): Promise<VersionAnswer> {
    return this.#client.json('GET', '/version');
  }

  infoRaw(): Promise<string> {
    return this.#client.text('GET', '/info');
  }

  diskUsage(): Promise<DiskUsageAnswer> {
    return this.#client.json('GET', '/system/df');
  }

  /** Beyond Docker: what every container and its processes have used, once a second. */
  async usage(): Promise<AsyncIterable<UsageTableAnswer>> {
    const response = await this.#client.request('GET', '/system/top');
    return jsonValues(response.body as AsyncIterable<Buffer>) as AsyncIterable<UsageTableAnswer>;
  }

  /** Beyond Docker. */
  fsck(query: { readonly deep: boolean; readonly repair: boolean }): Promise<FsckAnswer> {
    return this.#client.json(query.repair ? 'POST' : 'GET', '/system/fsck', { query: { deep: query.deep } });
  }

  /** Resolves when the daemon listens for us: what happens after that is not missed. */
  async events(query: { readonly since: string; readonly until: string; readonly filters: Filters }): Promise<AsyncIterable<EventMessage>> {
    const response = await this.#client.request('GET', '/events', { query: { ...query, filters: encodeFilters(query.filters) } });
    return jsonValues(response.body as AsyncIterable<Buffer>, parseEvent) as AsyncIterable<EventMessage>;
  }

  login(credentials: RegistryCredentials): Promise<{ readonly IdentityToken?: string; readonly Status?: string }> {
    return this.#client.json('POST', '/auth', { json: credentials });
  }
}

/** Nanoseconds since 1970 do not fit a number. */
function parseEvent(text: string): unknown {
  type Reviver = (this: unknown, key: string, value: unknown, context?: { readonly source?: string }) => unknown;
  const reviver: Reviver = (key, value, context) =>
    key === 'timeNano' && /^\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? 0) : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown);
}
