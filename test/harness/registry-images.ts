/**
 * Images for registries of the tests, made in memory by code and put into a `RegistryContent`: from it the fault registry serves, and `hub.ts` seeds real
 * registries. The same seed gives the same bytes.
 */
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { paddingBytes } from '../../src/archive/tar-entry.ts';
import { encodeTarHeader, endOfArchive, type NewTarEntry } from '../../src/archive/tar-writer.ts';
import type { Digest } from '../../src/base/brand.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { shell } from './command.ts';
import type { BlobDescriptor, RegistryContent } from './fault-registry/registry-content.ts';

export type Packing = 'none' | 'gzip' | 'zstd';
export type Flavour = 'oci' | 'docker';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** In a few words: content makes it a file, linkTarget a symbolic link, a slash at the end a directory. */
export interface LayerEntry extends Partial<NewTarEntry> {
  readonly path: string;
  readonly content?: string | Uint8Array;
}

/** A layer's tar, and how it is packed where that is not the image's way. */
export interface LayerRecipe {
  readonly tar: Uint8Array;
  readonly packing?: Packing;
  /** Already packed so: `tar` need not be packed again, only hashed. */
  readonly packed?: Buffer;
  /** A foreign layer: its bytes are at these addresses, and not here. */
  readonly urls?: readonly string[];
  readonly mediaType?: string;
}

export interface ImageRecipe {
  readonly layers: readonly LayerRecipe[];
  readonly packing?: Packing;
  readonly flavour?: Flavour;
  readonly platform?: Platform;
  /** Of the config's `config`. */
  readonly run?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Only this repository has the blobs. */
  readonly isPrivate?: boolean;
}

export interface MadeImage {
  readonly repository: string;
  readonly manifest: BlobDescriptor;
  readonly config: BlobDescriptor;
  readonly layers: readonly BlobDescriptor[];
  readonly platform: Platform;
}

const here: Platform = { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' };
const created = '2024-05-06T07:08:09Z';
const cache = fileURLToPath(new URL('../../.cache/images', import.meta.url));

const types = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: {
      none: 'application/vnd.oci.image.layer.v1.tar',
      gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
      zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
    },
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: {
      none: 'application/vnd.docker.image.rootfs.diff.tar',
      gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
    },
  },
} as const;

export function layerTar(...entries: readonly LayerEntry[]): Buffer {
  const pieces = entries.flatMap(({ content, ...entry }) => {
    const bytes = Buffer.from(content ?? '');
    const type = entry.type ?? (entry.linkTarget === undefined ? (entry.path.endsWith('/') ? 'directory' : 'file') : 'symbolic-link');
    const header = encodeTarHeader({ ...entry, type, sizeBytes: bytes.length });
    return [header, bytes, Buffer.alloc(paddingBytes(bytes.length))];
  });
  return Buffer.concat([...pieces, endOfArchive]);
}

/** Tagged `tag` in `repository`; null: by digest only. */
export function addImage(content: RegistryContent, repository: string, tag: string | null, recipe: ImageRecipe): MadeImage {
  const { flavour = 'oci', platform = here, annotations } = recipe;
  const home = recipe.isPrivate ? repository : undefined;
  const layers = recipe.layers.map((layer) => addLayer(content, layer, layer.packing ?? recipe.packing ?? 'gzip', flavour, home));
  const document = {
    created,
    ...platform,
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'], ...recipe.run },
    rootfs: { type: 'layers', diff_ids: recipe.layers.map(({ tar }) => digestOf(tar)) },
    history: recipe.layers.map((_, index) => ({ created, created_by: `layer ${index}` })),
  };
  const config = content.addBlob(Buffer.from(JSON.stringify(document)), types[flavour].config, home);
  const manifest = content.addManifest(repository, tag, {
    schemaVersion: 2,
    mediaType: types[flavour].manifest,
    config,
    layers,
    ...(annotations === undefined ? {} : { annotations }),
  });
  return { repository, manifest, config, layers, platform };
}

function addLayer(
  content: RegistryContent,
  layer: LayerRecipe,
  packing: Packing,
  flavour: Flavour,
  home: string | undefined,
): object & BlobDescriptor {
  const bytes = layer.packed ?? pack(layer.tar, packing);
  const mediaType = layer.mediaType ?? types[flavour].layer[packing];
  if (layer.urls !== undefined) return { mediaType, digest: digestOf(bytes), size: bytes.length, ...{ urls: layer.urls } };
  return content.addBlob(bytes, mediaType, home);
}

function pack(tar: Uint8Array, packing: Packing): Buffer {
  if (packing === 'gzip') return gzipSync(tar, { level: 1 });
  return packing === 'zstd' ? zstdCompressSync(tar) : Buffer.from(tar);
}

/** An index over images, or over other indexes. */
export function addIndex(
  content: RegistryContent,
  repository: string,
  tag: string | null,
  entries: readonly (BlobDescriptor & { readonly platform?: Platform })[],
  flavour: Flavour = 'oci',
): BlobDescriptor {
  return content.addManifest(repository, tag, { schemaVersion: 2, mediaType: types[flavour].index, manifests: entries });
}

/** One entry of an index. */
export function withPlatform({ manifest, platform }: MadeImage): BlobDescriptor & { readonly platform: Platform } {
  return { ...manifest, platform };
}

/** Bytes that do not compress, always the same for a seed (xorshift32). */
export function noise(bytes: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, bytes);
}

/** busybox-static with its applets as hard links: an image that can be run. Throws what is needed where there is none. */
export function busyboxLayer(): LayerRecipe {
  if (!existsSync('/bin/busybox')) throw new Error('needs busybox (apt-get install busybox-static)');
  const applets = ['sh', 'cat', 'ls', 'find', 'sha256sum', 'true', 'sleep', 'stat', 'echo', 'wc', 'test', 'sort', 'head', 'mkdir', 'rm'];
  return {
    tar: layerTar(
      { path: 'bin/', mode: 0o755 },
      { path: 'bin/busybox', mode: 0o755, content: readFileSync('/bin/busybox') },
      ...applets.map((name): LayerEntry => ({ path: `bin/${name}`, type: 'hard-link', linkTarget: 'bin/busybox', mode: 0o755 })),
      { path: 'tmp/', mode: 0o1777 },
      { path: 'etc/', mode: 0o755 },
      { path: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
    ),
  };
}

export const addBusybox = (
  content: RegistryContent,
  repository = 'library/busybox',
  tag = 'latest',
  more: Partial<ImageRecipe> = {},
): MadeImage => addImage(content, repository, tag, { layers: [busyboxLayer()], ...more });

/** Many layers of noise, each with one file `layer-N`, sizes between a half and one and a half of `bytesEach`. */
export function noiseLayers(count: number, bytesEach: number, seed = 1): readonly LayerRecipe[] {
  return Array.from({ length: count }, (_, index) => {
    const bytes = Math.floor(bytesEach * (0.5 + ((index * 7919) % 1000) / 1000));
    return { tar: layerTar({ path: `layer-${index}`, content: noise(bytes, seed * 1000 + index) }) };
  });
}

/** Files of a lower layer deleted, replaced and hidden by opaque directories, again and again. */
export function whiteoutLayers(count = 200): readonly LayerRecipe[] {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const lower = numbers.flatMap((index): LayerEntry[] => [
    { path: `d${index}/`, mode: 0o755 },
    { path: `d${index}/gone`, content: `gone ${index}` },
    { path: `d${index}/kept`, content: `kept ${index}` },
  ]);
  const middle = numbers.flatMap((index): LayerEntry[] => [
    { path: `d${index}/`, mode: 0o700 },
    index % 3 === 0 ? { path: `d${index}/.wh..wh..opq`, content: '' } : { path: `d${index}/.wh.gone`, content: '' },
    ...(index % 5 === 0 ? [{ path: `d${index}/new`, content: `new ${index}` }] : []),
  ]);
  const top = numbers.filter((index) => index % 7 === 0).map((index): LayerEntry => ({ path: `.wh.d${index}`, content: '' }));
  return [{ tar: layerTar(...lower) }, { tar: layerTar(...middle) }, { tar: layerTar(...top) }];
}

/** Owners, modes, times, attributes, hard links, links and names that are not ASCII. */
export function attributeLayers(): readonly LayerRecipe[] {
  const attributes = new Map([
    ['user.note', Buffer.from('a note')],
    ['user.binary', Buffer.from([0, 1, 255, 10])],
  ]);
  const capability = new Map([['security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex')]]);
  return [
    {
      tar: layerTar(
        { path: 'a/', mode: 0o2775, uid: 1000, gid: 2000 },
        { path: 'a/file', mode: 0o4711, uid: 1, gid: 2, content: 'content', extendedAttributes: attributes },
        { path: 'a/capable', mode: 0o755, content: 'x', extendedAttributes: capability },
        { path: 'a/hard', type: 'hard-link', linkTarget: 'a/file', mode: 0o4711, uid: 1, gid: 2 },
        { path: 'a/soft', linkTarget: '../a/file' },
        { path: 'a/dangling', linkTarget: '/nowhere' },
        { path: 'a/ünï ✓', content: 'name' },
        { path: `a/${'n'.repeat(200)}`, content: 'long name' },
        { path: 'a/fifo', type: 'fifo' },
        { path: 'a/null', type: 'character-device', deviceMajor: 1, deviceMinor: 3, mode: 0o666 },
      ),
    },
    { tar: layerTar({ path: 'b/', mode: 0o755 }, { path: 'b/second', content: 'second layer' }) },
  ];
}

/** One file of zeros: small on the wire, big on the disk. */
export function hugeFileLayer(bytes: number): LayerRecipe {
  return { tar: layerTar({ path: 'huge', content: Buffer.alloc(bytes) }), packing: 'gzip' };
}

/** Docker's oldest manifest, which is refused by name. */
export function addSchema1(content: RegistryContent, repository: string, tag: string): BlobDescriptor {
  const layer = content.addBlob(pack(busyboxLayer().tar, 'gzip'));
  const document = {
    schemaVersion: 1,
    name: repository,
    tag,
    architecture: 'amd64',
    fsLayers: [{ blobSum: layer.digest }],
    history: [
      { v1Compatibility: '{"id":"0000000000000000000000000000000000000000000000000000000000000001","architecture":"amd64","os":"linux"}' },
    ],
  };
  return content.addManifest(
    repository,
    tag,
    Buffer.from(JSON.stringify(document)),
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  );
}

/** Something that refers to an image: a signature, a bill of materials. */
export function addReferrer(
  content: RegistryContent,
  repository: string,
  subject: BlobDescriptor,
  artifactType: string,
  text: string,
): BlobDescriptor {
  const empty = content.addBlob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
  const layer = content.addBlob(Buffer.from(text), 'text/plain');
  return content.addManifest(repository, null, {
    schemaVersion: 2,
    mediaType: types.oci.manifest,
    artifactType,
    config: empty,
    layers: [layer],
    subject,
    annotations: { 'org.example.note': text },
  });
}

export const platforms: readonly Platform[] = [
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm64', variant: 'v8' },
  { os: 'linux', architecture: 'arm', variant: 'v7' },
  { os: 'linux', architecture: 'arm', variant: 'v6' },
  { os: 'linux', architecture: 's390x' },
];

/** The same program tagged for five platforms; `nested`: the index lists another one, which has the images. */
export function addMultiPlatform(
  content: RegistryContent,
  repository: string,
  tag: string,
  { flavour = 'oci', nested = false }: { readonly flavour?: Flavour; readonly nested?: boolean } = {},
): { readonly index: BlobDescriptor; readonly images: readonly MadeImage[] } {
  const images = platforms.map((platform, number) => {
    const own = { tar: layerTar({ path: 'platform', content: `${JSON.stringify(platform)} ${number}\n` }) };
    return addImage(content, repository, null, { layers: [busyboxLayer(), own], platform, flavour });
  });
  const inner = addIndex(content, repository, nested ? null : tag, images.map(withPlatform), flavour);
  return { index: nested ? addIndex(content, repository, tag, [inner], flavour) : inner, images };
}

/** A plain Debian of 170 MB (mmdebstrap's minbase) in one layer; null where mmdebstrap is missing or Debian's packages are out of reach. Cached between runs. */
export async function debianLayer(): Promise<LayerRecipe | null> {
  const path = join(cache, 'debian-minbase.tar');
  if (!existsSync(`${path}.gz`)) {
    if (!existsSync('/usr/bin/mmdebstrap')) return null;
    mkdirSync(cache, { recursive: true });
    const made = await shell(`mmdebstrap --quiet --variant=minbase bookworm ${path}.new.tar && gzip -6 -n -k ${path}.new.tar`, {
      timeoutMs: 300_000,
    });
    if (made.status !== 0) return null;
    renameSync(`${path}.new.tar`, path);
    renameSync(`${path}.new.tar.gz`, `${path}.gz`);
  }
  return { tar: readFileSync(path), packed: readFileSync(`${path}.gz`) };
}

/** The digests that a manifest of this content names. */
export function digestsOf({ config, layers }: MadeImage): readonly Digest[] {
  return [config.digest, ...layers.map(({ digest }) => digest)];
}
