import { type ApiClient, pathName } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import type { Filters, PruneAnswer, VolumeSummary } from './types.ts';

export class VolumeApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  async list(filters: Filters): Promise<readonly VolumeSummary[]> {
    const answer = await this.#client.json<{ readonly Volumes: readonly VolumeSummary[] | null }>('GET', '/volumes', {
      query: { filters: encodeFilters(filters) },
    });
    return answer.Volumes ?? [];
  }

  inspectRaw(name: string): Promise<string> {
    return this.#client.text('GET', `/volumes/${pathName(name)}`);
  }

  async remove(name: string, force: boolean): Promise<void> {
    await this.#client.call('DELETE', `/volumes/${pathName(name)}`, { query: { force } });
  }

  prune(filters: Filters): Promise<PruneAnswer> {
    return this.#client.json('POST', '/volumes/prune', { query: { filters: encodeFilters(filters) } });
  }
}
