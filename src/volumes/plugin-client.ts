/**
 * Docker's plugin protocol (docs.docker.com/engine/extend/plugin_api): JSON by POST to a unix socket, or to tcp:// or https:// addresses that a spec names.
 *
 *     ──▶ POST /Plugin.Activate {}                    ◀── {"Implements":["VolumeDriver"]}
 *     ──▶ POST /VolumeDriver.Mount {"Name","ID"}      ◀── {"Mountpoint":"/…","Err":""}
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { EngineError, errorText } from '../base/errors.ts';

export interface PluginAddress {
  readonly name: string;
  /** `socketPath`, or host, port and TLS settings. */
  readonly request: RequestOptions & {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly rejectUnauthorized?: boolean;
  };
  readonly tls: boolean;
  /** In front of every method. */
  readonly basePath: string;
}

export type PluginReply = Readonly<Record<string, unknown>>;

const MEDIA_TYPE = 'application/vnd.docker.plugins.v1.2+json';
const MAXIMUM_BYTES = 16 * 1024 ** 2;

/** `unavailable` when it can't be reached or does not answer in time, `system` when it says no or answers nonsense; the message names plugin and method. */
export async function callPlugin(plugin: PluginAddress, method: string, body: unknown, timeoutMs: number): Promise<PluginReply> {
  const signal = AbortSignal.timeout(timeoutMs);
  const { status, text } = await exchange(plugin, method, JSON.stringify(body), signal).catch((cause) => {
    const why = signal.aborted ? `no answer within ${timeoutMs / 1000} s` : errorText(cause);
    throw new EngineError('unavailable', `plugin ${JSON.stringify(plugin.name)}: ${method}: ${why}`, { cause });
  });
  const reply = parseReply(text);
  const failure = typeof reply?.Err === 'string' ? reply.Err : '';
  if (failure !== '') throw new EngineError('system', `${method}: ${failure}`, { details: { plugin: plugin.name, refused: true } });
  if (status !== 200)
    throw new EngineError('system', `${method}: ${text.trim().slice(0, 1000) || `HTTP status ${status}`}`, { details: { status } });
  if (reply === null) throw new EngineError('system', `plugin ${JSON.stringify(plugin.name)}: ${method}: its answer is not a JSON object`);
  return reply;
}

/** The plugin answered, and said no. */
export function isRefusal(thrown: unknown): boolean {
  return thrown instanceof EngineError && thrown.details.refused === true;
}

async function exchange(
  plugin: PluginAddress,
  method: string,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (plugin.tls ? httpsRequest : httpRequest)(
    {
      ...plugin.request,
      method: 'POST',
      path: `${plugin.basePath}/${method}`,
      agent: false,
      signal,
      headers: { Accept: MEDIA_TYPE, 'Content-Type': MEDIA_TYPE, 'Content-Length': Buffer.byteLength(body), Host: 'plugin' },
    },
    resolve,
  );
  request.on('error', reject);
  request.end(body);
  const response = await promise;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAXIMUM_BYTES) throw new Error(`the answer is longer than ${MAXIMUM_BYTES} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
}

function parseReply(text: string): PluginReply | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as PluginReply) : null;
  } catch {
    return null;
  }
}
