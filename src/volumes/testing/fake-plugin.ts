/** A volume plugin for tests: Docker's protocol over a unix socket, with directories of its own. */
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';

export interface PluginCall {
  readonly method: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export class FakePlugin {
  readonly calls: PluginCall[] = [];
  readonly volumes = new Map<string, { readonly options: unknown; readonly path: string }>();
  /** Method → what it says no with. */
  readonly failures = new Map<string, string>();
  implements = ['VolumeDriver'];
  scope = 'global';
  readonly #server: Server;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const method = (request.url ?? '').replace(/^\/(VolumeDriver\.)?/, '');
        const body = JSON.parse(Buffer.concat(chunks).toString() || '{}');
        this.calls.push({ method, body });
        const failure = this.failures.get(method);
        response.setHeader('Content-Type', 'application/vnd.docker.plugins.v1.2+json');
        if (failure === 'silence') return;
        if (failure === 'nonsense') response.end('<html>');
        else if (failure?.startsWith('500 ') === true) response.writeHead(500).end(failure.slice(4));
        else response.end(JSON.stringify(failure === undefined ? this.#answer(method, body) : { Err: failure }));
      });
    });
  }

  listen(socketPath: string): Promise<void> {
    return new Promise((resolve) => this.#server.listen(socketPath, resolve));
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  methods(): readonly string[] {
    return this.calls.map(({ method }) => method);
  }

  #answer(method: string, { Name, Opts }: { Name?: string; Opts?: unknown }): unknown {
    const name = Name ?? '';
    const known = this.volumes.get(name);
    if (method === 'Plugin.Activate') return { Implements: this.implements };
    if (method === 'Capabilities') return { Capabilities: { Scope: this.scope } };
    if (method === 'List') return { Volumes: [...this.volumes].map(([each, { path }]) => ({ Name: each, Mountpoint: path })), Err: '' };
    if (method === 'Create') return this.#create(name, Opts);
    if (known === undefined) return { Err: `no volume ${name} here` };
    if (method === 'Get') {
      return { Volume: { Name: name, Mountpoint: known.path, CreatedAt: '2026-01-02T03:04:05Z', Status: { shelf: 3 } }, Err: '' };
    }
    if (method === 'Remove') this.volumes.delete(name);
    return { Mountpoint: known.path, Err: '' };
  }

  #create(name: string, options: unknown): unknown {
    const path = join(this.#root, name);
    mkdirSync(path, { recursive: true });
    this.volumes.set(name, { options, path });
    return { Err: '' };
  }
}
