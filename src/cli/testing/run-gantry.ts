/** The command line in a test: its output as text, a home folder of its own, and a daemon that answers what the test says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { runCli } from '../cli.ts';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRun {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Standard input is a terminal at which `stdin` is typed; standard output is one of so many columns. */
  readonly terminal?: { readonly columns: number; readonly rows?: number };
}

export interface CliHome extends Disposable {
  readonly folder: string;
  gantry(args: readonly string[], run?: CliRun): Promise<CliResult>;
}

export function cliHome(): CliHome {
  const folder = mkdtempSync(`${tmpdir()}/gantry-cli-`);
  return {
    folder,
    gantry: (args, run = {}) => runGantry(folder, args, run),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function runGantry(folder: string, args: readonly string[], { env, stdin: typed = '', terminal }: CliRun): Promise<CliResult> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  if (terminal !== undefined) {
    Object.assign(stdin, { isTTY: true, setRawMode: () => stdin });
    Object.assign(stdout, { isTTY: true, rows: 24, ...terminal });
  }
  const collected = Promise.all([text(stdout), text(stderr)]);
  stdin.end(typed);
  const code = await runCli(args, { stdin, stdout, stderr, env: { HOME: folder, PATH: process.env.PATH, ...env }, cwd: folder });
  stdout.end();
  stderr.end();
  const [out, err] = await collected;
  return { code, stdout: out, stderr: err };
}

export interface FakeDaemon extends AsyncDisposable {
  /** For `env`. */
  readonly env: Readonly<Record<string, string>>;
  /** What was asked: `POST /auth {…}`, without the version. */
  readonly asked: readonly string[];
  readonly headers: readonly IncomingMessage['headers'][];
}

export type Answer = (path: string, response: ServerResponse) => void;

export async function fakeDaemon(folder: string, answer: Answer): Promise<FakeDaemon> {
  const asked: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').replace(/^\/v[\d.]+/, '');
    const body = await text(request);
    asked.push(`${request.method} ${path} ${body}`.trim());
    headers.push(request.headers);
    answer(path, response);
  });
  const socket = `${folder}/daemon.sock`;
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    env: { GANTRY_HOST: `unix://${socket}` },
    asked,
    headers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
