/**
 * Uploads: end-4a, end-4b, end-5, end-6, end-11, end-13, end-14 of the specification.
 *
 *     POST uploads/                        202 + Location        POST uploads/?digest=D + bytes         201
 *     PATCH Location + bytes  (any often)  202 + Range           POST uploads/?mount=D&from=R           201, or 202 as above
 *     GET Location                         204 + Range           DELETE Location                        204
 *     PUT Location?digest=D (+ bytes)      201
 */
import type { IncomingMessage } from 'node:http';
import type { Digest } from '../../base/brand.ts';
import { checkDigest, isRepositoryName } from '../names.ts';
import type { RegistryRepository, RegistryUpload } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { bodyOf, type Exchange, lengthOf, send } from './exchange.ts';

/** Whether whoever asks may read that repository; to be asked whatever it holds, so that the answer takes as long. */
export type MayPull = (repository: string) => Promise<boolean>;

export async function beginUpload(exchange: Exchange, repository: RegistryRepository, mayPull: MayPull): Promise<void> {
  const { query, response, writer, request } = exchange;
  const mount = query.get('mount');
  if (mount !== null && (await mounted(exchange, repository, mount, mayPull))) return;
  const digest = query.get('digest');
  // Before a byte is taken.
  const wanted = digest === null ? null : checkDigest(digest);
  const upload = await repository.beginUpload(writer, lengthOf(request) ?? 0);
  if (wanted !== null) return await finish(exchange, repository, upload, wanted);
  send(response, 202, { ...placeOf(repository, upload), 'Content-Length': 0 });
}

export async function uploadStatus({ response }: Exchange, repository: RegistryRepository, id: string): Promise<void> {
  send(response, 204, placeOf(repository, found(repository, id)));
}

export async function appendUpload(exchange: Exchange, repository: RegistryRepository, id: string): Promise<void> {
  const upload = found(repository, id);
  await append(exchange, repository, upload);
  send(exchange.response, 202, { ...placeOf(repository, upload), 'Content-Length': 0 });
}

export async function finishUpload(exchange: Exchange, repository: RegistryRepository, id: string): Promise<void> {
  const upload = found(repository, id);
  const digest = exchange.query.get('digest');
  if (digest === null) throw new RegistryRefusal('DIGEST_INVALID', 'the digest parameter is missing: it completes an upload');
  await finish(exchange, repository, upload, checkDigest(digest));
}

export async function cancelUpload({ response }: Exchange, repository: RegistryRepository, id: string): Promise<void> {
  await found(repository, id).cancel();
  send(response, 204, {});
}

/** Where the source has no such blob, may not be read, or is no name at all, an ordinary upload begins: the client can't tell which (SECURITY.md row 26). */
async function mounted(exchange: Exchange, repository: RegistryRepository, mount: string, mayPull: MayPull): Promise<boolean> {
  const digest = checkDigest(mount);
  const from = exchange.query.get('from') ?? repository.name;
  if (!isRepositoryName(from) || !(await mayPull(from))) return false;
  if (!(await repository.mount(digest, from, exchange.writer))) return false;
  sendCreated(exchange, repository, digest);
  return true;
}

async function finish(exchange: Exchange, repository: RegistryRepository, upload: RegistryUpload, digest: Digest): Promise<void> {
  await append(exchange, repository, upload);
  await upload.finish(digest, exchange.writer);
  sendCreated(exchange, repository, digest);
}

async function append(exchange: Exchange, repository: RegistryRepository, upload: RegistryUpload): Promise<void> {
  const { request, response, signal } = exchange;
  try {
    const chunk = announcedChunk(request, upload);
    if (lengthOf(request) === 0 || (lengthOf(request) === null && request.headers['transfer-encoding'] === undefined)) return;
    const start = chunk?.start ?? upload.sizeBytes;
    await upload.append(bodyOf(exchange), start, signal, () => request.destroy());
    const came = upload.sizeBytes - start;
    if (chunk === null || came === chunk.end - chunk.start) return;
    throw new RegistryRefusal('SIZE_INVALID', `${came} bytes came where Content-Range announced ${chunk.end - chunk.start}`);
  } catch (thrown) {
    // Where to go on, as in every other answer about an upload.
    const place: Readonly<Record<string, string>> =
      thrown instanceof RegistryRefusal && thrown.refusal === 'RANGE_INVALID' ? placeOf(repository, upload) : {};
    for (const [header, value] of Object.entries(place)) response.setHeader(header, value);
    throw thrown;
  }
}

interface Chunk {
  readonly start: number;
  /** The byte after the last one. */
  readonly end: number;
}

/** Throws RANGE_INVALID, SIZE_INVALID before a byte is taken. Null: `Content-Range` says nothing. */
function announcedChunk(request: IncomingMessage, upload: RegistryUpload): Chunk | null {
  const chunk = contentRange(request.headers['content-range']);
  if (chunk === null) return null;
  if (chunk.start !== upload.sizeBytes) {
    throw new RegistryRefusal('RANGE_INVALID', `the next chunk must start at byte ${upload.sizeBytes}, not ${chunk.start}`);
  }
  const lengthBytes = lengthOf(request);
  if (lengthBytes !== null && lengthBytes !== chunk.end - chunk.start) {
    throw new RegistryRefusal('SIZE_INVALID', `Content-Length ${lengthBytes} and Content-Range disagree`);
  }
  return chunk;
}

const rangeForm = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/;

function contentRange(header: string | undefined): Chunk | null {
  if (header === undefined) return null;
  const match = rangeForm.exec(header.trim());
  const [start, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < start) throw new RegistryRefusal('RANGE_INVALID', 'Content-Range must be <first byte>-<last byte>');
  return { start, end: last + 1 };
}

function found(repository: RegistryRepository, id: string): RegistryUpload {
  const upload = repository.upload(id);
  if (upload === null)
    throw new RegistryRefusal('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry: it was finished, cancelled or given up');
  return upload;
}

/** Relative: true behind any proxy. */
function placeOf(repository: RegistryRepository, upload: RegistryUpload) {
  return {
    Location: `/v2/${repository.name}/blobs/uploads/${upload.id}`,
    Range: `0-${Math.max(upload.sizeBytes - 1, 0)}`,
    'Docker-Upload-UUID': upload.id,
  };
}

function sendCreated({ response }: Exchange, { name }: RegistryRepository, digest: Digest): void {
  send(response, 201, { Location: `/v2/${name}/blobs/${digest}`, 'Docker-Content-Digest': digest, 'Content-Length': 0 });
}
