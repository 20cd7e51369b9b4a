/** Repositories of a folder over http on the loopback, by git's own program: for tests of what fetches them. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

export interface GitServer {
  readonly url: string;
  /** Authorization headers that came, in order. */
  readonly seen: readonly (string | undefined)[];
  /** Null: everybody may. */
  wantedHeader: string | null;
  close(): void;
}

export async function serveGit(folder: string): Promise<GitServer> {
  const seen: (string | undefined)[] = [];
  const state = { wantedHeader: null as string | null };
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    if (state.wantedHeader !== null && request.headers.authorization !== state.wantedHeader) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end();
    } else runBackend(folder, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get wantedHeader() {
      return state.wantedHeader;
    },
    set wantedHeader(value) {
      state.wantedHeader = value;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function runBackend(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const env = {
    PATH: process.env.PATH ?? '',
    GIT_PROJECT_ROOT: folder,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: decodeURIComponent(url.pathname),
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method ?? 'GET',
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
    HTTP_GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'safe.directory',
    GIT_CONFIG_VALUE_0: '*',
  };
  const child = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  request.pipe(child.stdin);
  child.stdin.on('error', () => {});
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('close', () => {
    const all = Buffer.concat(chunks);
    const end = all.indexOf('\r\n\r\n');
    const head = all.toString('latin1', 0, end).split('\r\n');
    const headers = Object.fromEntries(head.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    const { Status: status = '200', ...rest } = headers;
    response.writeHead(Number.parseInt(status, 10), rest).end(all.subarray(end + 4));
  });
}

/** Runs git in a repository, with a fixed author and time. */
export function git(directory: string, ...args: readonly string[]): string {
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@example.com',
    GIT_AUTHOR_DATE: '1600000000 +0000',
    GIT_COMMITTER_DATE: '1600000000 +0000',
  };
  return execFileSync('git', ['-C', directory, '-c', 'protocol.file.allow=always', ...args], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

/** A repository `folder/name` with one commit on main. */
export function makeRepository(folder: string, name: string, files: Readonly<Record<string, string>>): string {
  const directory = join(folder, name);
  mkdirSync(directory, { recursive: true });
  git(directory, 'init', '-q', '-b', 'main');
  git(directory, 'config', 'http.getanyfile', 'true');
  addCommit(directory, files);
  return directory;
}

export function addCommit(directory: string, files: Readonly<Record<string, string>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  git(directory, 'add', '-A');
  git(directory, 'commit', '-q', '-m', 'a commit');
  return git(directory, 'rev-parse', 'HEAD');
}
