/** One request to the engine, with JSON or an archive; null when the daemon died on it (or was not there). */
import { request } from 'node:http';

export interface EngineReply {
  readonly status: number;
  readonly body: string;
}

export function engineRequest(host: string, method: string, path: string, body?: unknown): Promise<EngineReply | null> {
  const raw = body instanceof Uint8Array;
  const text = raw ? body : Buffer.from(body === undefined ? '' : JSON.stringify(body));
  const headers = { 'Content-Type': raw ? 'application/x-tar' : 'application/json', 'Content-Length': text.length };
  return new Promise((resolve) => {
    const lost = (): void => resolve(null);
    const sent = request({ socketPath: host.replace('unix://', ''), method, path: `/v1.51${path}`, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      response.on('error', lost).on('aborted', lost);
    });
    sent.on('error', lost);
    sent.end(text);
  });
}

/** The daemon is there and must agree. */
export async function engineCall(host: string, method: string, path: string, body?: unknown): Promise<string> {
  const reply = await engineRequest(host, method, path, body);
  if (reply === null || reply.status >= 400)
    throw new Error(`${method} ${path}: ${reply === null ? 'no answer' : `${reply.status} ${reply.body}`}`);
  return reply.body;
}

export interface ContainerWish {
  readonly name: string;
  readonly command: readonly string[];
  readonly binds?: readonly string[];
  readonly autoRemove?: boolean;
}

export function createBody({ command, binds = [], autoRemove = false }: Omit<ContainerWish, 'name'>): unknown {
  return { Image: 'busybox', Cmd: command, HostConfig: { NetworkMode: 'none', Binds: binds, AutoRemove: autoRemove } };
}

export async function createContainer(host: string, wish: ContainerWish): Promise<string> {
  const body = await engineCall(host, 'POST', `/containers/create?name=${wish.name}`, createBody(wish));
  return (JSON.parse(body) as { Id: string }).Id;
}

export interface InspectedState {
  readonly Status: string;
  readonly ExitCode: number;
  readonly Error: string;
  readonly Pid: number;
}

/** Null: no such container. */
export async function inspectState(host: string, name: string): Promise<InspectedState | null> {
  const reply = await engineRequest(host, 'GET', `/containers/${name}/json`);
  if (reply?.status === 404) return null;
  if (reply?.status !== 200) throw new Error(`inspect ${name}: ${reply === null ? 'no answer' : `${reply.status} ${reply.body}`}`);
  return (JSON.parse(reply.body) as { State: InspectedState }).State;
}
