import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import { type DecodedPathStat, decodePathStat, pathStatHeader } from '../wire/path-stat.ts';
import { type ApiClient, ApiError, pathName } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import { isFramed } from './framing.ts';
import { jsonValues } from './json-lines.ts';
import type {
  ContainerDetails,
  ContainerSummary,
  CreatedContainer,
  FileChange,
  Filters,
  PortBindings,
  PruneAnswer,
  TopAnswer,
  WaitAnswer,
} from './types.ts';
import type { StatsAnswer } from './usage-types.ts';

export interface AttachQuery {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly logs?: boolean;
  readonly detachKeys?: string;
}

export interface LogsQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
  readonly since: string;
  readonly until: string;
  readonly tail: string;
}

export interface StopQuery {
  readonly signal?: string;
  /** -1: wait for ever. */
  readonly timeoutSeconds?: number;
}

export interface CommitQuery {
  readonly repository: string;
  readonly tag: string;
  readonly author: string;
  readonly comment: string;
  readonly pause: boolean;
  readonly changes: readonly string[];
}

/** A stream of a container: framed (stdout and stderr apart) or, with a terminal, raw. */
export interface StdioConnection {
  readonly stream: Socket;
  readonly framed: boolean;
}

/** The last two are beyond Docker: the answer comes when it is ready, with an error when it will not be. */
export type WaitCondition = '' | 'next-exit' | 'removed' | 'not-running' | 'healthy' | `port=${string}`;

/** A wait that the daemon has registered: the headers are here, the exit is not yet. */
export interface PendingWait {
  readonly exit: Promise<WaitAnswer>;
}

export class ContainerApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  create(body: unknown, query: { readonly name?: string; readonly platform?: string }): Promise<CreatedContainer> {
    return this.#client.json('POST', '/containers/create', { json: body, query });
  }

  async start(id: string): Promise<'started' | 'already-running'> {
    return (await this.#client.call('POST', `${container(id)}/start`)) === 304 ? 'already-running' : 'started';
  }

  async stop(id: string, query: StopQuery): Promise<void> {
    await this.#client.call('POST', `${container(id)}/stop`, { query: stopQuery(query) });
  }

  async restart(id: string, query: StopQuery): Promise<void> {
    await this.#client.call('POST', `${container(id)}/restart`, { query: stopQuery(query) });
  }

  async kill(id: string, signal: string | null): Promise<void> {
    await this.#client.call('POST', `${container(id)}/kill`, { query: { signal } });
  }

  async pause(id: string): Promise<void> {
    await this.#client.call('POST', `${container(id)}/pause`);
  }

  async unpause(id: string): Promise<void> {
    await this.#client.call('POST', `${container(id)}/unpause`);
  }

  async rename(id: string, name: string): Promise<void> {
    await this.#client.call('POST', `${container(id)}/rename`, { query: { name } });
  }

  async remove(id: string, query: { readonly force: boolean; readonly volumes: boolean; readonly link: boolean }): Promise<void> {
    await this.#client.call('DELETE', container(id), { query: { force: query.force, v: query.volumes, link: query.link } });
  }

  list(query: {
    readonly all?: boolean;
    readonly limit?: number;
    readonly size?: boolean;
    readonly filters?: Filters;
  }): Promise<ContainerSummary[]> {
    const { all, limit, size } = query;
    return this.#client.json('GET', '/containers/json', {
      query: { all, limit: limit ?? null, size, filters: encodeFilters(query.filters) },
    });
  }

  inspect(id: string): Promise<ContainerDetails> {
    return this.#client.json('GET', `${container(id)}/json`);
  }

  /** The document as the daemon wrote it: number formats and the order of fields are part of what people see. */
  inspectRaw(id: string, query: { readonly size?: boolean } = {}): Promise<string> {
    return this.#client.text('GET', `${container(id)}/json`, { query });
  }

  /** Without `stream` it is one answer, a second later. */
  async stats(id: string, { stream }: { readonly stream: boolean }, signal?: AbortSignal): Promise<AsyncIterable<StatsAnswer>> {
    const query = { stream: stream ? '1' : '0' };
    const options = signal === undefined ? { query } : { query, signal };
    const response = await this.#client.request('GET', `${container(id)}/stats`, options);
    return jsonValues(response.body as AsyncIterable<Buffer>) as AsyncIterable<StatsAnswer>;
  }

  top(id: string, psArgs: string): Promise<TopAnswer> {
    return this.#client.json('GET', `${container(id)}/top`, { query: { ps_args: psArgs } });
  }

  /** What is at a path; null: nothing, or no such container. */
  async statPath(id: string, path: string): Promise<DecodedPathStat | null> {
    try {
      const { headers, body } = await this.#client.request('HEAD', `${container(id)}/archive`, { query: { path } });
      body.resume();
      return decodePathStat(headers.get(pathStatHeader.toLowerCase()) ?? '');
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** The tar must be read to its end or destroyed. */
  async readPath(id: string, path: string): Promise<{ readonly stat: DecodedPathStat; readonly tar: Readable }> {
    const { headers, body } = await this.#client.request('GET', `${container(id)}/archive`, { query: { path } });
    return { stat: decodePathStat(headers.get(pathStatHeader.toLowerCase()) ?? ''), tar: body };
  }

  /** Into an existing directory; never a directory in the place of something else, nor the other way round. */
  async writePath(id: string, path: string, tar: AsyncIterable<Uint8Array>, copyUidGid: boolean): Promise<void> {
    await this.#client.call('PUT', `${container(id)}/archive`, {
      body: tar,
      query: { path, noOverwriteDirNonDir: 'true', copyUIDGID: copyUidGid ? 'true' : '' },
      headers: { 'Content-Type': 'application/x-tar' },
    });
  }

  /** All files of a container, without what is mounted. */
  async exportTar(id: string): Promise<Readable> {
    return (await this.#client.request('GET', `${container(id)}/export`)).body;
  }

  async commit(id: string, query: CommitQuery): Promise<string> {
    const { repository, tag, author, comment, pause, changes } = query;
    const answer = await this.#client.json<{ readonly Id: string }>('POST', '/commit', {
      query: { container: id, repo: repository, tag, author, comment, pause: pause ? null : '0', changes },
      json: null,
    });
    return answer.Id;
  }

  async changes(id: string): Promise<readonly FileChange[]> {
    return (await this.#client.json<readonly FileChange[] | null>('GET', `${container(id)}/changes`)) ?? [];
  }

  /** Limits and the restart policy, in the fields of Docker's body. Gives warnings. */
  async update(id: string, change: object): Promise<readonly string[]> {
    const { Warnings } = await this.#client.json<{ readonly Warnings: readonly string[] | null }>('POST', `${container(id)}/update`, {
      json: change,
    });
    return Warnings ?? [];
  }

  /** Of a running container. An empty list in `remove` means every binding of that port. */
  async changePorts(id: string, change: { readonly add: PortBindings; readonly remove: PortBindings }): Promise<void> {
    await this.#client.call('POST', `${container(id)}/ports`, { json: { Add: change.add, Remove: change.remove } });
  }

  prune(filters: Filters): Promise<PruneAnswer> {
    return this.#client.json('POST', '/containers/prune', { query: { filters: encodeFilters(filters) } });
  }

  async resize(id: string, rows: number, columns: number): Promise<void> {
    await this.#client.call('POST', `${container(id)}/resize`, { query: { h: String(rows), w: String(columns) } });
  }

  async attach(id: string, query: AttachQuery, tty: boolean): Promise<StdioConnection> {
    const { stream, contentType } = await this.#client.hijack(`${container(id)}/attach`, {
      query: { ...query, stream: true },
      headers: { 'Content-Type': 'text/plain' },
    });
    return { stream, framed: isFramed(contentType, tty) };
  }

  async logs(id: string, query: LogsQuery, tty: boolean): Promise<{ readonly stream: Readable; readonly framed: boolean }> {
    const response = await this.#client.request('GET', `${container(id)}/logs`, { query: { ...query } });
    return { stream: response.body, framed: isFramed(response.headers.get('content-type') ?? '', tty) };
  }

  /** Resolves when the daemon has registered the wait: a start sent after that cannot be missed. */
  async wait(id: string, condition: WaitCondition, signal?: AbortSignal): Promise<PendingWait> {
    const response = await this.#client.request('POST', `${container(id)}/wait`, {
      query: { condition },
      ...(signal === undefined ? {} : { signal }),
    });
    const exit = readWait(response.body);
    // Whoever gives up on the exit must not leave an unhandled rejection behind.
    exit.catch(() => {});
    return { exit };
  }
}

async function readWait(body: Readable): Promise<WaitAnswer> {
  let text = '';
  for await (const chunk of body as AsyncIterable<Buffer>) text += chunk.toString('utf8');
  if (text.trim() === '') throw new EngineError('unavailable', 'the daemon ended the wait without an exit status');
  return JSON.parse(text) as WaitAnswer;
}

function container(id: string): string {
  return `/containers/${pathName(id)}`;
}

function stopQuery(query: StopQuery): { readonly signal?: string; readonly t?: number } {
  return {
    ...(query.signal === undefined ? {} : { signal: query.signal }),
    ...(query.timeoutSeconds === undefined ? {} : { t: query.timeoutSeconds }),
  };
}
