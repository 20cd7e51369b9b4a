/** A client of a registry in a few lines, for tests with many of them: raw requests on kept connections, nothing retried, nothing hidden. */
import { Agent, request } from 'node:http';
import type { Digest } from '../../src/base/brand.ts';
import { digestOf } from '../../src/oci/digest.ts';

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Thrown when no answer came: the server died, or the connection broke. */
export class NoAnswer extends Error {}

/** An answer that is none of those that the request may get. */
export class WrongAnswer extends Error {
  readonly answer: WireAnswer;

  constructor(what: string, answer: WireAnswer) {
    super(`${what}: ${answer.status} ${answer.body.toString().slice(0, 300)}`);
    this.answer = answer;
  }
}

export class WireClient {
  readonly #host: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });

  /** `host:port` */
  constructor(host: string) {
    this.#host = host;
  }

  close(): void {
    this.#agent.destroy();
  }

  async ask(method: string, path: string, body?: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<WireAnswer> {
    const [hostname, port] = this.#host.split(':');
    const length = body === undefined ? {} : { 'Content-Length': body.length };
    return await new Promise((resolve, reject) => {
      const lost = (error?: Error): void => reject(new NoAnswer(`${method} ${path}: ${error?.message ?? 'cut'}`));
      const options = { hostname, port, agent: this.#agent, method, path, headers: { ...headers, ...length } };
      const sent = request(options, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }));
        response.on('error', lost).on('aborted', lost);
      });
      sent.on('error', lost);
      sent.end(body);
    });
  }

  async expect(
    statuses: readonly number[],
    method: string,
    path: string,
    body?: Uint8Array,
    headers?: Readonly<Record<string, string>>,
  ): Promise<WireAnswer> {
    const answer = await this.ask(method, path, body, headers);
    if (!statuses.includes(answer.status)) throw new WrongAnswer(`${method} ${path}`, answer);
    return answer;
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return (await this.expect([200, 404], 'HEAD', `/v2/${repository}/blobs/${digest}`)).status === 200;
  }

  /** `pieces`: 1 sends all with the PUT, more send PATCHes before. `mountFrom`: true when that was enough. */
  async pushBlob(repository: string, bytes: Buffer, pieces: number, mountFrom: string | null = null): Promise<'mounted' | 'uploaded'> {
    const digest = digestOf(bytes);
    const mount = mountFrom === null ? '' : `?mount=${digest}&from=${mountFrom}`;
    const begun = await this.expect([202, 201], 'POST', `/v2/${repository}/blobs/uploads/${mount}`, Buffer.alloc(0));
    if (begun.status === 201) return 'mounted';
    let location = this.#locationOf(begun);
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; pieces > 1 && at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      const headers = { 'Content-Type': 'application/octet-stream', 'Content-Range': `${at}-${at + part.length - 1}` };
      location = this.#locationOf(await this.expect([202], 'PATCH', location, part, headers));
    }
    const rest = pieces > 1 ? Buffer.alloc(0) : bytes;
    const joint = location.includes('?') ? '&' : '?';
    await this.expect([201], 'PUT', `${location}${joint}digest=${digest}`, rest, { 'Content-Type': 'application/octet-stream' });
    return 'uploaded';
  }

  /** Its bytes, checked. */
  async blob(repository: string, digest: Digest): Promise<Buffer> {
    const { body } = await this.expect([200], 'GET', `/v2/${repository}/blobs/${digest}`);
    if (digestOf(body) !== digest) throw new Error(`${digest} of ${repository} has other bytes`);
    return body;
  }

  #locationOf({ headers }: WireAnswer): string {
    const { pathname, search } = new URL(String(headers.location), 'http://x');
    return `${pathname}${search}`;
  }
}
