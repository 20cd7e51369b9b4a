/**
 * The server's socket for commands of this machine: `<root>/control.sock`, mode 0600.
 *
 *     POST /gc?dry-run=true      a line of JSON for each thing there is to say (`WorkLine`), the last one the result or `failed`
 *
 * The path of a unix socket holds 107 bytes and a root may be deeper, so both sides name it by a descriptor of the root.
 */
import { closeSync, openSync, rmSync } from 'node:fs';
import { createServer, request as requestHttp, type Server } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EngineError, errorText, hasErrnoCode } from '../../base/errors.ts';
import type { RegistryWork, WorkLine, WorkName } from './registry-work.ts';

const works: readonly WorkName[] = ['gc', 'check', 'retention', 'rotate-keys'];

export async function serveControl(root: string, work: RegistryWork): Promise<AsyncDisposable> {
  const directory = openSync(root, 'r');
  // The lock of the root is ours: whoever made it is dead.
  rmSync(join(root, 'control.sock'), { force: true });
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://control');
    const name = works.find((candidate) => `/${candidate}` === url.pathname);
    if (request.method !== 'POST' || name === undefined) {
      response.writeHead(404).end();
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the command went away')));
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    const tell = (line: WorkLine): void => void response.write(`${JSON.stringify(line)}\n`);
    await work
      .run(name, url.searchParams.get('dry-run') === 'true', tell, gone.signal)
      .catch((error) => tell({ kind: 'failed', message: errorText(error) }));
    response.end();
  });
  server.requestTimeout = 0;
  await listen(server, `/proc/self/fd/${directory}/control.sock`);
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(join(root, 'control.sock'), { force: true });
      closeSync(directory);
    },
  };
}

/** False: nobody serves this root. */
export async function askServer(root: string, name: WorkName, dryRun: boolean, tell: (line: WorkLine) => void): Promise<boolean> {
  let directory: number;
  try {
    directory = openSync(root, 'r');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return false;
    throw error;
  }
  try {
    const socketPath = `/proc/self/fd/${directory}/control.sock`;
    const request = requestHttp({ socketPath, method: 'POST', path: `/${name}?dry-run=${dryRun}` });
    const response = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
      request.once('response', resolve);
      request.once('error', reject);
      request.end();
    });
    let last: WorkLine | null = null;
    for await (const line of createInterface({ input: response })) {
      last = JSON.parse(line) as WorkLine;
      if (last.kind === 'failed') throw new EngineError('system', last.message);
      tell(last);
    }
    if (last === null || last.kind === 'finding' || last.kind === 'removal')
      throw new EngineError('unavailable', 'the registry ended before its answer did');
    return true;
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ECONNREFUSED')) return false;
    throw error;
  } finally {
    closeSync(directory);
  }
}

async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(before);
  }
}
