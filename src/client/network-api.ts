import { type ApiClient, pathName } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import type { Filters, NetworkSummary, PruneAnswer } from './types.ts';

export class NetworkApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  list(filters: Filters): Promise<NetworkSummary[]> {
    return this.#client.json('GET', '/networks', { query: { filters: encodeFilters(filters) } });
  }

  inspectRaw(name: string, query: { readonly verbose?: boolean; readonly scope?: string } = {}): Promise<string> {
    return this.#client.text('GET', `/networks/${pathName(name)}`, { query });
  }

  async remove(name: string): Promise<void> {
    await this.#client.call('DELETE', `/networks/${pathName(name)}`);
  }

  prune(filters: Filters): Promise<PruneAnswer> {
    return this.#client.json('POST', '/networks/prune', { query: { filters: encodeFilters(filters) } });
  }
}
