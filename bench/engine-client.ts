/** The same small HTTP client for both engines, on keep-alive connections, so that only the engines differ. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';

interface Reply {
  readonly status: number;
  readonly body: string;
}

export class EngineClient {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });

  constructor(host: string) {
    this.#socketPath = host.replace('unix://', '');
  }

  /** Create, start, wait for the end and remove one container that runs `true`. */
  async lifecycle(networkMode = 'none'): Promise<void> {
    const created = await this.#call('POST', '/containers/create', {
      Image: 'busybox',
      Cmd: ['true'],
      HostConfig: { NetworkMode: networkMode },
    });
    assert.equal(created.status, 201, created.body);
    const { Id } = JSON.parse(created.body) as { Id: string };
    const waiting = this.#call('POST', `/containers/${Id}/wait?condition=next-exit`);
    assert.equal((await this.#call('POST', `/containers/${Id}/start`)).status, 204);
    assert.equal((JSON.parse((await waiting).body) as { StatusCode: number }).StatusCode, 0);
    assert.equal((await this.#call('DELETE', `/containers/${Id}`)).status, 204);
  }

  async exec(container: string): Promise<void> {
    const created = await this.#call('POST', `/containers/${container}/exec`, { Cmd: ['true'], AttachStdout: true, AttachStderr: true });
    const { Id } = JSON.parse(created.body) as { Id: string };
    assert.equal((await this.#call('POST', `/exec/${Id}/start`, { Detach: false, Tty: false })).status, 200);
    assert.equal((JSON.parse((await this.#call('GET', `/exec/${Id}/json`)).body) as { ExitCode: number }).ExitCode, 0);
  }

  close(): void {
    this.#agent.destroy();
  }

  #call(method: string, path: string, body?: unknown): Promise<Reply> {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers =
      text === '' ? { 'Content-Length': 0 } : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: this.#socketPath, agent: this.#agent, method, path: `/v1.41${path}`, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(text);
    });
  }
}
