/**
 * OCI layouts in folders of the client, by containerd's content service: caches (`type=local`), images (`type=oci,tar=false`) and layouts as build contexts. Only blobs pass here; `index.json` is the
 * client's own to write.
 *
 *     builder ─▶ tar of a layout ─▶ Write(blob)… each with its digest      out
 *     Read(blob)… from one digest down ─▶ files of a layout ─▶ builder     in
 */
import type { Writable } from 'node:stream';
import { invalid } from '../../../base/errors.ts';
import type { FileSync, SyncEntry } from '../../../build/build-client.ts';
import { readArchiveFiles } from '../../../build/output/archive-files.ts';
import { isDigest } from '../../../oci/digest.ts';
import { isObject, parseJsonObject } from '../../../oci/json.ts';
import { engineErrorOf, GrpcError, grpcCodes } from '../grpc/status.ts';
import {
  InfoRequest,
  InfoResponse,
  ReadContentRequest,
  ReadContentResponse,
  WriteContentRequest,
  WriteContentResponse,
  writeActions,
} from '../messages/content.ts';
import { archiveSink } from './archive-sink.ts';
import type { Session } from './session.ts';

const methods = {
  info: '/containerd.services.content.v1.Content/Info',
  read: '/containerd.services.content.v1.Content/Read',
  write: '/containerd.services.content.v1.Content/Write',
} as const;

/** A folder of the client, by the name that it has for the client. */
export interface ClientStore {
  readonly session: Session;
  readonly id: string;
}

/** `manifests` of an `index.json`. */
export type LayoutIndex = readonly unknown[];

const chunkBytes = 1024 * 1024;
const jsonLimitBytes = 4 * 1024 * 1024;

function metadataOf({ id }: ClientStore) {
  if (!/^[\x20-\x7e]*$/.test(id))
    throw invalid(`the folder ${JSON.stringify(id)} of the client has a name that is not ASCII, which BuildKit's protocol cannot carry`);
  return { 'buildkit-attachable-store-id': [id] };
}

/** Takes the tar of a layout. Finished when the client has every blob. */
export function layoutWriter(store: ClientStore, gotIndex: (manifests: LayoutIndex) => void, signal: AbortSignal): Writable {
  if (!store.session.supports(methods.write)) throw invalid(`the client serves no ${methods.write}`);
  return archiveSink(chunkBytes, (archive) => writeLayout(store, archive, gotIndex, signal));
}

async function writeLayout(
  store: ClientStore,
  archive: AsyncIterable<Uint8Array>,
  gotIndex: (manifests: LayoutIndex) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const { file, content } of readArchiveFiles(archive)) {
    const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(file.path)?.[1];
    if (hex !== undefined) await writeBlob(store, { digest: `sha256:${hex}`, sizeBytes: file.sizeBytes }, content, signal);
    else if (file.path === 'index.json') gotIndex(manifestsOf(await whole(content)));
  }
}

interface Blob {
  readonly digest: string;
  readonly sizeBytes: number;
}

async function writeBlob(
  store: ClientStore,
  { digest, sizeBytes }: Blob,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const call = store.session.client.open(methods.write, WriteContentRequest, WriteContentResponse, { signal, metadata: metadataOf(store) });
  const common = { ref: digest, total: sizeBytes, expected: digest };
  let offset = 0;
  try {
    for await (const chunk of content)
      for (let at = 0; at < chunk.length; at += chunkBytes) {
        const data = chunk.subarray(at, at + chunkBytes);
        await call.send({ ...common, action: writeActions.write, offset, data });
        offset += data.length;
        await call.messages.next();
      }
    await call.send({ ...common, action: writeActions.commit, offset });
    call.endSending();
    for await (const _ of call.messages);
  } catch (error) {
    call.cancel();
    // It has that blob already.
    if (error instanceof GrpcError && error.code === grpcCodes.alreadyExists) return;
    throw error instanceof GrpcError ? engineErrorOf(error, `cannot write ${digest} to the client's folder`) : error;
  }
}

function manifestsOf(bytes: Uint8Array): LayoutIndex {
  const { manifests } = parseJsonObject(bytes, 'index.json');
  return Array.isArray(manifests) ? manifests : [];
}

async function whole(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (size > jsonLimitBytes) throw invalid(`a manifest of more than ${jsonLimitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The layout that is below `digest`, as files: what the builder takes of it, is read. */
export async function openLayout(store: ClientStore, digest: string, tag: string, signal: AbortSignal): Promise<FileSync> {
  if (!isDigest(digest))
    throw invalid(`the client named ${JSON.stringify(digest.slice(0, 100))}, which is no digest, as what is in its folder`);
  const top = await readJson(store, digest, signal);
  const blobs = new Map<string, number>([[digest, top.bytes.length]]);
  await collect(store, top.json, blobs, signal);
  const mediaType = typeof top.json.mediaType === 'string' ? top.json.mediaType : 'application/vnd.oci.image.index.v1+json';
  const descriptor = { mediaType, digest, size: top.bytes.length, annotations: { 'org.opencontainers.image.ref.name': tag } };
  const texts = new Map([
    ['index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }))],
    ['oci-layout', Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' }))],
  ]);
  const files = [...blobs]
    .sort()
    .map(([name, size]) => ({ ...entry('file', `blobs/sha256/${name.slice('sha256:'.length)}`), sizeBytes: size }));
  const entries = [
    entry('directory', 'blobs'),
    entry('directory', 'blobs/sha256'),
    ...files,
    ...[...texts].map(([path, bytes]) => ({ ...entry('file', path), sizeBytes: bytes.length })),
  ];
  return {
    sharedKey: null,
    async *entries() {
      yield entries;
    },
    async *read(index) {
      const path = entries[index]?.path ?? '';
      const bytes = texts.get(path);
      if (bytes !== undefined) yield bytes;
      else yield* readBlob(store, `sha256:${path.slice('blobs/sha256/'.length)}`, signal);
    },
    async finish() {},
  };
}

function entry(type: 'file' | 'directory', path: string): SyncEntry {
  return {
    path,
    type,
    mode: type === 'directory' ? 0o755 : 0o644,
    sizeBytes: 0,
    modifiedAt: { seconds: 0, nanoseconds: 0 },
    linkTarget: '',
    deviceMajor: 0,
    deviceMinor: 0,
    extendedAttributes: new Map(),
  };
}

const blobLimit = 10_000;

/** What an index or manifest names, as far as the client has it: indexes name platforms that nobody fetched. */
async function collect(
  store: ClientStore,
  json: Readonly<Record<string, unknown>>,
  blobs: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  const named = [json.config, ...(Array.isArray(json.layers) ? json.layers : [])];
  for (const each of named) {
    const found = descriptorOf(each);
    if (found !== null && (await hasBlob(store, found.digest, signal))) blobs.set(found.digest, found.size);
  }
  for (const each of Array.isArray(json.manifests) ? json.manifests : []) {
    const found = descriptorOf(each);
    if (found === null || blobs.has(found.digest) || !(await hasBlob(store, found.digest, signal))) continue;
    if (blobs.size > blobLimit) throw invalid(`a layout of more than ${blobLimit} blobs`);
    blobs.set(found.digest, found.size);
    // An index names manifests, but a cache names its layers in the same place.
    if (/manifest|index/.test(found.mediaType)) await collect(store, (await readJson(store, found.digest, signal)).json, blobs, signal);
  }
}

function descriptorOf(value: unknown): { readonly digest: string; readonly size: number; readonly mediaType: string } | null {
  if (!isObject(value)) return null;
  const { digest, size, mediaType } = value;
  if (typeof digest !== 'string' || !isDigest(digest) || !Number.isSafeInteger(size)) return null;
  return { digest, size: size as number, mediaType: typeof mediaType === 'string' ? mediaType : '' };
}

async function hasBlob(store: ClientStore, digest: string, signal: AbortSignal): Promise<boolean> {
  try {
    await store.session.client.unary(methods.info, { type: InfoRequest, value: { digest } }, InfoResponse, {
      signal,
      metadata: metadataOf(store),
    });
    return true;
  } catch (error) {
    if (error instanceof GrpcError && error.code === grpcCodes.notFound) return false;
    throw error instanceof GrpcError ? engineErrorOf(error, `cannot look for ${digest} in the client's folder`) : error;
  }
}

async function readJson(store: ClientStore, digest: string, signal: AbortSignal) {
  const bytes = await whole(readBlob(store, digest, signal));
  return { bytes, json: parseJsonObject(bytes, digest) };
}

async function* readBlob(store: ClientStore, digest: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  const call = store.session.client.open(methods.read, ReadContentRequest, ReadContentResponse, { signal, metadata: metadataOf(store) });
  try {
    await call.send({ digest });
    call.endSending();
    for await (const { data } of call.messages) yield data;
  } catch (error) {
    throw error instanceof GrpcError ? engineErrorOf(error, `cannot read ${digest} from the client's folder`) : error;
  }
}
