import type { Readable } from 'node:stream';
import { type ApiClient, pathName } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import type { Filters, PruneAnswer, VolumeSummary } from './types.ts';

export interface VolumeList {
  readonly volumes: readonly VolumeSummary[];
  /** Drivers that did not answer. */
  readonly warnings: readonly string[];
}

interface ListAnswer {
  readonly Volumes: readonly VolumeSummary[] | null;
  readonly Warnings?: readonly string[] | null;
}

export class VolumeApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Sizes cost the daemon a walk through every volume; they are there only when asked for. */
  async list(filters: Filters, query: { readonly size?: boolean } = {}): Promise<VolumeList> {
    const answer = await this.#client.json<ListAnswer>('GET', '/volumes', {
      query: { ...query, filters: encodeFilters(filters) },
    });
    return { volumes: answer.Volumes ?? [], warnings: answer.Warnings ?? [] };
  }

  inspectRaw(name: string): Promise<string> {
    return this.#client.text('GET', volume(name));
  }

  create(body: unknown): Promise<VolumeSummary> {
    return this.#client.json('POST', '/volumes/create', { json: body });
  }

  rename(name: string, newName: string): Promise<VolumeSummary> {
    return this.#client.json('POST', `${volume(name)}/rename`, { json: { Name: newName } });
  }

  clone(name: string, newName: string, labels: Readonly<Record<string, string>>): Promise<VolumeSummary> {
    return this.#client.json('POST', `${volume(name)}/clone`, { json: { Name: newName, Labels: labels } });
  }

  async exportTar(name: string): Promise<Readable> {
    return (await this.#client.request('GET', `${volume(name)}/export`)).body;
  }

  async importTar(name: string, tar: AsyncIterable<Uint8Array>, merge: boolean): Promise<void> {
    await this.#client.call('PUT', `${volume(name)}/import`, {
      body: tar,
      query: { merge },
      headers: { 'Content-Type': 'application/x-tar' },
    });
  }

  async remove(name: string, force: boolean): Promise<void> {
    await this.#client.call('DELETE', volume(name), { query: { force } });
  }

  prune(filters: Filters): Promise<PruneAnswer> {
    return this.#client.json('POST', '/volumes/prune', { query: { filters: encodeFilters(filters) } });
  }
}

function volume(name: string): string {
  return `/volumes/${pathName(name)}`;
}
