/** Builds by `POST /build` of any daemon, and what came of them: the stream, the config, and the file tree as its layers put together. In memory: the files of tests are small. */
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import type { TarEntry } from '../../src/archive/tar-entry.ts';
import { readTar } from '../../src/archive/tar-stream.ts';
import { type NewTarEntry, type WritableEntry, writeTar } from '../../src/archive/tar-writer.ts';

/** Without a byte of an answer. */
const hangMs = 120_000;

/** A text is a file of mode 0644. */
export type ContextFiles = Readonly<Record<string, string | Uint8Array | ContextEntry>>;

export type ContextEntry = Omit<NewTarEntry, 'path' | 'type'> & {
  readonly type?: NewTarEntry['type'];
  readonly content?: string | Uint8Array;
};

/** Parents before children is the writer's to see to; a name that ends in `/` is a directory. */
export async function tarOf(files: ContextFiles): Promise<Buffer> {
  const entries = Object.entries(files).map(([name, file]): WritableEntry => {
    const { content = '', ...rest } = typeof file === 'string' || file instanceof Uint8Array ? { content: file } : file;
    const path = name.replace(/\/$/, '');
    const type = rest.type ?? (name.endsWith('/') ? 'directory' : 'file');
    const entry = { modifiedAt: { seconds: 1_700_000_000, nanoseconds: 0 }, ...rest, type, path };
    return type === 'file' ? { entry, content: Buffer.from(content) } : { entry };
  });
  return await buffer(Readable.from(writeTar(entries)));
}

export async function tarGzOf(files: ContextFiles): Promise<Buffer> {
  return gzipSync(await tarOf(files));
}

export interface BuildAnswer {
  readonly status: number;
  /** The texts of the stream, put together; of an HTTP error nothing. */
  readonly output: string;
  /** Null: it was built. */
  readonly error: string | null;
  /** Of the command that failed. */
  readonly exitCode: number | null;
  readonly imageId: string | null;
}

export async function build(host: string, tar: Uint8Array, query: Readonly<Record<string, string>> = {}): Promise<BuildAnswer> {
  const { status, body } = await ask(host, 'POST', `/v1.41/build?${new URLSearchParams(query)}`, tar);
  const text = body.toString();
  if (status !== 200) return { status, output: '', error: JSON.parse(text).message, exitCode: null, imageId: null };
  const lines: readonly { stream?: string; error?: string; errorDetail?: { code?: number }; aux?: { ID?: string } }[] = text
    .split('\r\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const failed = lines.find((line) => line.error !== undefined);
  const error = failed?.error ?? null;
  return {
    status,
    output: lines.map(({ stream = '' }) => stream).join(''),
    error,
    exitCode: failed?.errorDetail?.code ?? null,
    imageId: error === null ? (lines.findLast(({ aux }) => aux?.ID !== undefined)?.aux?.ID ?? null) : null,
  };
}

export interface BuiltImage {
  readonly config: ImageConfigFile;
  readonly layers: readonly ImageFiles[];
  /** All layers on top of each other. */
  readonly tree: ImageFiles;
}

export interface ImageConfigFile {
  readonly architecture: string;
  readonly author?: string;
  readonly created?: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly Env?: readonly string[] | null };
  readonly history: readonly { readonly created_by: string; readonly empty_layer?: boolean }[];
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

/** By path, without a slash in front. */
export type ImageFiles = ReadonlyMap<string, ImageFile>;

export interface ImageFile {
  readonly type: TarEntry['type'];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of files: text, or a digest where it is long or not text; of links: where they lead; of devices: their numbers. */
  readonly content: string;
  readonly seconds: number;
  readonly attributes: string;
}

/** Several at once share their layers in the archive. */
export async function savedImages(host: string, ids: readonly string[]): Promise<ReadonlyMap<string, BuiltImage>> {
  if (ids.length === 0) return new Map();
  const names = new URLSearchParams([...new Set(ids)].map((id) => ['names', id]));
  const { status, body } = await ask(host, 'GET', `/v1.41/images/get?${names}`);
  if (status !== 200) throw new Error(`images/get: ${body}`);
  const members = new Map<string, Buffer>();
  const links = new Map<string, string>();
  for await (const { entry, content } of readTar(Readable.from([body]))) {
    if (entry.type === 'symbolic-link') links.set(entry.path, new URL(entry.linkTarget, `file:///${entry.path}`).pathname.slice(1));
    else members.set(entry.path, await buffer(Readable.from(content)));
  }
  const member = (path: string): Buffer => {
    const found = members.get(path) ?? members.get(links.get(path) ?? '');
    if (found === undefined) throw new Error(`the archive has no ${path}`);
    return found;
  };
  const layers = new Map<string, Promise<ImageFiles>>();
  const layer = (path: string): Promise<ImageFiles> => {
    const known = layers.get(path) ?? filesOf(member(path));
    layers.set(path, known);
    return known;
  };
  const manifest: readonly { Config: string; Layers: readonly string[] }[] = JSON.parse(member('manifest.json').toString());
  const images = new Map<string, BuiltImage>();
  for (const { Config, Layers } of manifest) {
    const config = member(Config);
    const files = await Promise.all(Layers.map(layer));
    images.set(`sha256:${createHash('sha256').update(config).digest('hex')}`, {
      config: JSON.parse(config.toString()),
      layers: files,
      tree: stacked(files),
    });
  }
  return images;
}

async function filesOf(tar: Buffer): Promise<ImageFiles> {
  const files = new Map<string, ImageFile>();
  for await (const { entry, content } of readTar(Readable.from([tar]))) {
    const path = entry.path.replace(/^(\.?\/)+/, '');
    if (path === '' || path === '.') continue;
    const bytes = await buffer(Readable.from(content));
    // Which of several names is the file and which are the links is the writer's choice.
    const target = entry.type === 'hard-link' ? files.get(entry.linkTarget.replace(/^(\.?\/)+/, '')) : undefined;
    files.set(path, target ?? fileOf(entry, bytes));
  }
  return files;
}

function fileOf(entry: TarEntry, bytes: Buffer): ImageFile {
  const { type, mode, uid, gid, linkTarget, deviceMajor, deviceMinor, modifiedAt, extendedAttributes } = entry;
  const numbers = type === 'character-device' || type === 'block-device' ? `${deviceMajor}:${deviceMinor}` : '';
  const attributes = [...extendedAttributes].map(([name, value]) => `${name}=${Buffer.from(value).toString('hex')}`).sort();
  return {
    type,
    // Those of links are nobody's.
    mode: type === 'symbolic-link' ? 0o777 : mode,
    uid,
    gid,
    content: type === 'file' ? shownBytes(bytes) : linkTarget || numbers,
    seconds: modifiedAt.seconds,
    attributes: attributes.join(' '),
  };
}

function shownBytes(bytes: Buffer): string {
  const text = bytes.toString();
  const isShort = bytes.length <= 300 && Buffer.from(text).equals(bytes);
  return isShort ? text : `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function stacked(layers: readonly ImageFiles[]): ImageFiles {
  const tree = new Map<string, ImageFile>();
  for (const layer of layers) {
    for (const path of layer.keys()) {
      const [, directory = '', name] = /^(?:(.*)\/)?\.wh\.([^/]+)$/.exec(path) ?? [];
      if (name === '.wh..opq') removeBelow(tree, directory);
      else if (name !== undefined) removeAll(tree, directory === '' ? name : `${directory}/${name}`);
    }
    for (const [path, file] of layer) {
      if (/(^|\/)\.wh\./.test(path)) continue;
      if (file.type !== 'directory') removeAll(tree, path);
      tree.set(path, file);
    }
  }
  return new Map([...tree].sort(([one], [other]) => (one < other ? -1 : 1)));
}

function removeBelow(tree: Map<string, ImageFile>, directory: string): void {
  for (const path of [...tree.keys()]) if (path.startsWith(`${directory}/`)) tree.delete(path);
}

function removeAll(tree: Map<string, ImageFile>, path: string): void {
  tree.delete(path);
  removeBelow(tree, path);
}

function ask(host: string, method: string, path: string, body?: Uint8Array): Promise<{ readonly status: number; readonly body: Buffer }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/x-tar', 'Content-Length': body.length };
    const asked = request({ socketPath: host.replace('unix://', ''), method, path, headers, agent: false, timeout: hangMs }, (response) => {
      buffer(response).then((bytes) => resolve({ status: response.statusCode ?? 0, body: bytes }), reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: nothing came for ${hangMs} ms`)));
    asked.on('error', reject);
    asked.end(body);
  });
}
