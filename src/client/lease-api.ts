/** Leases (beyond Docker): what is created under one goes when nobody holds it any more. */
import { EngineError } from '../base/errors.ts';
import type { ApiClient } from './api-client.ts';
import { jsonValues } from './json-lines.ts';

export interface HeldLease {
  readonly name: string;
  /** What is created through this address belongs to the lease; null where the daemon offers none. */
  readonly socket: string | null;
  /** Resolves when the daemon is gone, or let go of it: hold it again then. */
  readonly ended: Promise<void>;
}

interface LeaseAnswer {
  readonly Name: string;
  readonly Socket: string | null;
}

export class LeaseApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** Held until this process ends, or the client is closed. `grace`: how long its objects stay after that, as `10s`. */
  async hold(query: { readonly name?: string; readonly grace?: string }): Promise<HeldLease> {
    const { body } = await this.#client.request('POST', '/leases', { query: { name: query.name ?? null, grace: query.grace ?? null } });
    const lines = (jsonValues(body as AsyncIterable<Buffer>, JSON.parse) as AsyncIterable<LeaseAnswer>)[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done === true) throw new EngineError('unavailable', 'the daemon ended the lease before it began');
    const ended = lines.next().then(
      () => body.destroy(),
      () => body.destroy(),
    ) as Promise<unknown> as Promise<void>;
    return { name: first.value.Name, socket: first.value.Socket, ended };
  }
}
