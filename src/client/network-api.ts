import { type ApiClient, pathName } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import type { Filters, NetworkSummary, PruneAnswer, PublishedPort } from './types.ts';

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

  /** `body` as Docker's API has it: Name, Driver, IPAM, … */
  create(body: unknown): Promise<{ readonly Id: string; readonly Warning?: string }> {
    return this.#client.json('POST', '/networks/create', { json: body });
  }

  async connect(network: string, container: string, endpoint: unknown): Promise<void> {
    await this.#client.call('POST', `/networks/${pathName(network)}/connect`, {
      json: { Container: container, EndpointConfig: endpoint },
    });
  }

  async disconnect(network: string, container: string, force: boolean): Promise<void> {
    await this.#client.call('POST', `/networks/${pathName(network)}/disconnect`, { json: { Container: container, Force: force } });
  }

  /** Of all containers. */
  async publishedPorts(): Promise<readonly PublishedPort[]> {
    return this.#client.json('GET', '/ports');
  }

  async remove(name: string): Promise<void> {
    await this.#client.call('DELETE', `/networks/${pathName(name)}`);
  }

  prune(filters: Filters): Promise<PruneAnswer> {
    return this.#client.json('POST', '/networks/prune', { query: { filters: encodeFilters(filters) } });
  }
}
