import { type ApiClient, pathName } from './api-client.ts';
import type { StdioConnection } from './container-api.ts';
import { isFramed } from './framing.ts';
import type { ExecDetails } from './types.ts';

export interface ExecRequest {
  readonly User: string;
  readonly Privileged: boolean;
  readonly Tty: boolean;
  readonly ConsoleSize?: readonly [number, number];
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly DetachKeys: string;
  readonly Env: readonly string[] | null;
  readonly WorkingDir: string;
  readonly Cmd: readonly string[];
}

export class ExecApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  async create(containerId: string, request: ExecRequest): Promise<string> {
    const answer = await this.#client.json<{ readonly Id: string }>('POST', `/containers/${pathName(containerId)}/exec`, { json: request });
    return answer.Id;
  }

  async startDetached(id: string, tty: boolean): Promise<void> {
    await this.#client.call('POST', `/exec/${pathName(id)}/start`, { json: { Detach: true, Tty: tty } });
  }

  async startAttached(id: string, tty: boolean, consoleSize: readonly [number, number] | null): Promise<StdioConnection> {
    const json = { Detach: false, Tty: tty, ...(consoleSize === null ? {} : { ConsoleSize: consoleSize }) };
    const { stream, contentType } = await this.#client.hijack(`/exec/${pathName(id)}/start`, { json });
    return { stream, framed: isFramed(contentType, tty) };
  }

  async resize(id: string, rows: number, columns: number): Promise<void> {
    await this.#client.call('POST', `/exec/${pathName(id)}/resize`, { query: { h: String(rows), w: String(columns) } });
  }

  inspect(id: string): Promise<ExecDetails> {
    return this.#client.json('GET', `/exec/${pathName(id)}/json`);
  }
}
