/**
 * What a web address answers: an archive becomes the files in it, anything else is one file (0600, of the time that `Last-Modified` says). Streamed to the disk and digested on its way.
 *
 * Credentials go to the host that they are for, and to no other that it redirects to.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, rename, rm, utimes } from 'node:fs/promises';
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { printableName } from '../../base/byte-name.ts';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import type { ContextPlaces, WrittenContext } from './context-job.ts';
import type { HeldContext, HttpRequest } from './context-store.ts';
import type { ContextWork } from './context-work.ts';

type FetchedFile = HeldContext & { readonly digest: string; readonly isArchive: boolean; readonly fileName: string };

const REDIRECTIONS = 10;
const STALL_MS = 60_000;

export async function fetchFile(work: ContextWork<HttpRequest>): Promise<FetchedFile> {
  const { request, limits, signal } = work;
  const address = addressOf(request.url);
  const checksum = request.checksum === null || request.checksum === '' ? null : checkedChecksum(request.checksum);
  const authorization = await authorizationFor(address.url, address.credentials, request);
  const fileName = fileNameOf(address.url);
  const found = { digest: '', isArchive: false };
  const held = await work.held(null, async (places) => {
    const file = join(places.directory, 'download');
    const answer = await ask(address.url, authorization, work);
    found.digest = await download(answer, file, limits.bytes, address.url, signal);
    if (checksum !== null && checksum !== found.digest) {
      throw invalid(`digest mismatch ${found.digest}: ${checksum} was expected of ${shown(address.url)}`);
    }
    const unpacked = request.unpack ? await unpack(work, places, file) : null;
    found.isArchive = unpacked !== null;
    return unpacked ?? (await oneFile(work, places, file, fileName, answer.headers['last-modified']));
  });
  return { ...held, ...found, fileName };
}

function addressOf(text: string): { readonly url: URL; readonly credentials: string | null } {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw invalid(`${printableName(text.replace(/\/\/[^/@]*@/, '//'))} is not an http or https address`);
  }
  const credentials =
    url.username === '' && url.password === '' ? null : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  url.hash = '';
  return { url, credentials };
}

/** Queries may hold signatures. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function checkedChecksum(text: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text;
  throw invalid(`invalid checksum ${printableName(text)}: sha256: and 64 hex digits are one`);
}

async function authorizationFor(url: URL, credentials: string | null, { secret }: HttpRequest): Promise<string | null> {
  const first = async (kind: string) => {
    const value = (await secret(`HTTP_AUTH_${kind}_${url.host}`)) ?? (await secret(`HTTP_AUTH_${kind}_${url.hostname}`));
    return value === null ? null : Buffer.from(value).toString('utf8').trim();
  };
  const header = await first('HEADER');
  const token = header === null ? await first('TOKEN') : null;
  const value =
    header ?? (token !== null ? `Bearer ${token}` : credentials !== null ? `Basic ${Buffer.from(credentials).toString('base64')}` : null);
  if (value !== null && /[\0-\x1f\x7f]/.test(value)) throw invalid(`the secret for ${url.host} holds control characters`);
  return value;
}

/** The last part of the path. */
function fileNameOf(url: URL): string {
  const part = url.pathname.replace(/\/+$/, '').split('/').at(-1) ?? '';
  let name = part;
  try {
    name = decodeURIComponent(part);
  } catch {
    // Not an encoded name, then.
  }
  return name === '' || name === '.' || name === '..' || /[\0/]/.test(name) || Buffer.byteLength(name) > 255 ? '__unnamed__' : name;
}

async function ask(address: URL, authorization: string | null, work: ContextWork<HttpRequest>): Promise<IncomingMessage> {
  let url = address;
  for (let redirections = 0; ; redirections++) {
    const answer = await requestOnce(url, url.origin === address.origin ? authorization : null, work);
    const { statusCode = 0, headers } = answer;
    if (statusCode === 200) return answer;
    answer.destroy();
    if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined) {
      throw invalid(`invalid response status ${statusCode} of ${shown(url)}`);
    }
    if (redirections === REDIRECTIONS) throw invalid(`${shown(address)} redirects more than ${REDIRECTIONS} times`);
    url = URL.canParse(headers.location, url) ? addressOf(new URL(headers.location, url).href).url : url;
  }
}

function requestOnce(url: URL, authorization: string | null, { environment, signal }: ContextWork<HttpRequest>): Promise<IncomingMessage> {
  const isSecure = url.protocol === 'https:';
  const proxyEnv = { ...environment };
  const agent = isSecure ? new SecureAgent({ proxyEnv }) : new PlainAgent({ proxyEnv });
  const headers = {
    'User-Agent': 'gantry',
    // What is stored is what is digested: nothing is packed on the way.
    'Accept-Encoding': 'identity',
    ...(authorization === null ? {} : { Authorization: authorization }),
  };
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(signal.aborted ? signal.reason : unreachable(url, error));
    const request = (isSecure ? secureRequest : plainRequest)(url, { agent, headers, signal, timeout: STALL_MS }, resolve);
    request.once('timeout', () => request.destroy(new Error(`nothing came for ${STALL_MS / 1000} seconds`)));
    request.on('error', fail);
    request.end();
  });
}

function unreachable(url: URL, error: Error): EngineError {
  return new EngineError('unavailable', `cannot fetch ${shown(url)}: ${errorText(error)}`, { cause: error });
}

async function download(answer: IncomingMessage, file: string, limitBytes: number, url: URL, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const digested = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      hash.update(chunk);
      if (sizeBytes > limitBytes) done(invalid(`${shown(url)} is larger than ${limitBytes} bytes, the limit`));
      else done(null, chunk);
    },
  });
  try {
    await pipeline(answer, digested, createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof EngineError || !isOfConnection(error) ? error : unreachable(url, error as Error);
  }
  return `sha256:${hash.digest('hex')}`;
}

function isOfConnection(error: unknown): boolean {
  return error instanceof Error && (error.message === 'aborted' || !('syscall' in error) || error.syscall === 'read');
}

/** Null: it is no archive. */
async function unpack(
  { run, limits, signal }: ContextWork<HttpRequest>,
  places: ContextPlaces,
  path: string,
): Promise<WrittenContext | null> {
  const written = await run<WrittenContext | null>({ kind: 'unpack-file', places, path, limits }, signal);
  if (written !== null) await rm(path);
  return written;
}

async function oneFile(
  { run, limits, signal }: ContextWork<HttpRequest>,
  places: ContextPlaces,
  path: string,
  name: string,
  lastModified: string | undefined,
): Promise<WrittenContext> {
  const parsed = lastModified === undefined ? Number.NaN : Date.parse(lastModified);
  const time = Number.isFinite(parsed) && parsed >= 0 ? new Date(parsed) : new Date(0);
  await chmod(path, 0o600);
  await utimes(path, time, time);
  await rename(path, join(places.files, name));
  return await run<WrittenContext>({ kind: 'index', places, time: null, modes: 'kept', limits }, signal);
}
