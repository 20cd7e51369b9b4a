/** A builder over fakes: layers are names, files are digests of names, RUN obeys its command (`exit N`, `print TEXT`, `wait`, `slow`). For tests of what is above. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DiffId, Digest, ImageId } from '../../../base/brand.ts';
import { notFound } from '../../../base/errors.ts';
import type { ImageRecord } from '../../../images/image-records.ts';
import type { ImageStore } from '../../../images/image-store.ts';
import { digestOf } from '../../../oci/digest.ts';
import { encodeImageConfig, type ImageConfig } from '../../../oci/image-config.ts';
import { encodeManifest, mediaTypes } from '../../../oci/manifest.ts';
import { createLeases } from '../../../store/leases.ts';
import type { BuildClient } from '../../build-client.ts';
import type { BuildEvent } from '../../build-event.ts';
import type { BuildRequest } from '../../build-request.ts';
import type { BuildCache, CacheRecord } from '../../cache/build-cache.ts';
import { cacheKeyOf } from '../../cache/cache-key.ts';
import type { ContextStore, HeldContext } from '../../context/context-store.ts';
import type { LayerWork, MadeLayer } from '../../files/layer-work.ts';
import type { ExportRequest, Outputs } from '../../output/outputs.ts';
import { ProcessFailure, type RunWork } from '../../run/run-work.ts';
import { createBuilder, type OpenBuilder } from '../create-builder.ts';
import { plainRunSettings } from './plain-run-settings.ts';

export const host = { os: 'linux', architecture: 'amd64' };

export interface FakeImage {
  readonly config?: Partial<ImageConfig>;
  readonly layers?: readonly string[];
}

export interface FakeBuilder {
  readonly builder: OpenBuilder;
  /** What was done: `copy [1/2] …`, `run …`, `context`, `pull …`. */
  readonly done: string[];
  readonly exports: ExportRequest[];
  readonly cache: Map<string, CacheRecord>;
  /** Path → content: part of what selecting it gives. */
  readonly files: Map<string, string>;
  readonly heldContexts: () => number;
  /** Ends every `RUN slow`. */
  readonly letGo: () => void;
  readonly isIdle: () => boolean;
}

export function fakeBuilder(images: Readonly<Record<string, FakeImage>> = {}): FakeBuilder {
  const done: string[] = [];
  const exports: ExportRequest[] = [];
  const cached = new Map<string, CacheRecord>();
  const files = new Map<string, string>();
  const { store, add } = fakeStore();
  const local = Object.entries(images).filter(([name]) => !name.startsWith('remote:'));
  for (const [name, image] of local) add(`docker.io/library/${name}`, image);
  const slow = Promise.withResolvers<void>();
  let contextsHeld = 0;
  const transfers = {
    async pull({ reference }: { readonly reference: string }) {
      done.push(`pull ${reference}`);
      const image = images[`remote:${reference.replace('docker.io/library/', '')}`];
      if (image === undefined) throw notFound(`pull access denied for ${reference}`);
      add(reference, image);
    },
  };
  const contexts = fakeContexts({
    opened: () => void contextsHeld++,
    released: () => void contextsHeld--,
    files,
    done,
  });
  const builder = createBuilder({
    store,
    transfers,
    cache: fakeCache(cached),
    layers: fakeLayers(done, files),
    runs: fakeRuns(done, slow.promise),
    contexts,
    outputs: fakeOutputs(exports),
    packages: { find: async () => [] },
    registryCache: () => assert.fail('no registry in this test'),
    compress: (plain) => plain,
    host,
    version: '0.0.0',
    limit: 4,
  });
  const heldContexts = () => contextsHeld;
  return { builder, done, exports, cache: cached, files, heldContexts, letGo: slow.resolve, isIdle: () => store.leases.idle };
}

export function fakeRequest(change: Partial<BuildRequest> = {}): BuildRequest {
  return {
    id: `build-${Math.random()}`,
    dockerfilePath: null,
    context: { kind: 'client', name: 'context' },
    namedContexts: new Map(),
    target: null,
    platforms: [],
    buildArguments: new Map(),
    labels: new Map(),
    noCache: [],
    pull: false,
    run: plainRunSettings,
    entitlements: new Set(),
    outputs: [
      {
        type: 'image',
        names: [],
        push: false,
        compression: { kind: null, level: null, force: false },
        annotations: new Map(),
        clientOutput: 0,
        unpacked: false,
        platformSplit: null,
      },
    ],
    cacheFrom: [],
    cacheTo: [],
    provenance: null,
    sbom: false,
    squash: false,
    epoch: null,
    explain: false,
    keepFailed: false,
    verify: false,
    call: 'build',
    ...change,
  };
}

export interface FakeClient extends BuildClient {
  readonly events: BuildEvent[];
}

/** `dockerfile` null: it is in the context. */
export function fakeClient(dockerfile: string | null, ignoreFile: string | null = null): FakeClient {
  const events: BuildEvent[] = [];
  return {
    events,
    report: (event) => void events.push(event),
    dockerfile: async () => (dockerfile === null ? null : { name: 'Dockerfile', text: Buffer.from(dockerfile), ignoreFile }),
    context: async () => ({ kind: 'tar', stream: Readable.from([]) }),
    secret: async () => null,
    hasSshAgent: async () => false,
    connectSshAgent: () => Promise.reject(new Error('no agent')),
    credentials: async () => null,
    output: () => Promise.reject(new Error('no outputs')),
  };
}

function fakeStore() {
  const records = new Map<string, ImageRecord>();
  const references = new Map<string, { readonly reference: string; readonly id: ImageId; readonly target: Digest }>();
  const blobs = new Map<Digest, Buffer>();
  const add = (reference: string, { config = {}, layers = [] }: FakeImage) => {
    const refs = layers.map(layerRef);
    const whole: ImageConfig = {
      ...host,
      created: '2020-01-01T00:00:00Z',
      config: {},
      history: refs.map(({ directory }) => ({ created_by: directory })),
      ...config,
      rootfs: { type: 'layers', diff_ids: refs.map(({ diffId }) => diffId) },
    };
    const bytes = encodeImageConfig(whole);
    const id = digestOf(bytes) as string as ImageId;
    const descriptors = refs.map(({ diffId }) => ({ mediaType: mediaTypes.ociLayerGzip, digest: diffId as string as Digest, size: 1 }));
    const manifestBytes = encodeManifest({ mediaType: mediaTypes.ociConfig, digest: digestOf(bytes), size: bytes.length }, descriptors);
    const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(manifestBytes), size: manifestBytes.length };
    blobs.set(manifest.digest, manifestBytes);
    const target = { descriptor: manifest, manifest, blobs: [] };
    const at = new Date(0);
    records.set(id, {
      id,
      config: whole,
      firstTarget: manifest.digest,
      targets: new Map([[manifest.digest, target]]),
      layers: refs,
      parent: null,
      createdAt: at,
      lastTagTime: null,
    });
    references.set(reference, { reference, id, target: manifest.digest });
  };
  const store = {
    records: {
      all: () => records.values(),
      get: (id: ImageId) => records.get(id),
      reference: (name: string) => references.get(name),
    },
    blobs: { readSmall: async (digest: Digest) => blobs.get(digest) ?? Buffer.alloc(0), sizeBytes: () => 10 },
    layers: { mountOrder: () => ({ base: '/', lowers: [] }) },
    leases: createLeases(),
    sweeper: { sweep: async () => {} },
  } as unknown as ImageStore;
  return { store, add };
}

function layerRef(name: string) {
  return { diffId: digestOf(name) as string as DiffId, directory: `d-${name}`, sizeBytes: 1 };
}

function made(name: string): MadeLayer {
  const layer = layerRef(createHash('sha256').update(name).digest('hex').slice(0, 12));
  return { layer, blob: { digest: layer.diffId as string as Digest, sizeBytes: 10 } };
}

function fakeLayers(done: string[], files: ReadonlyMap<string, string>): LayerWork {
  const never = () => Promise.reject(new Error('not in this test'));
  return {
    async select({ from, pattern }) {
      const text = from.kind === 'tree' ? from.identity : files.get(pattern);
      if (text === undefined) throw notFound(`"/${pattern}": not found`);
      return { digest: digestOf(`${pattern} ${text}`), entries: [], isEmpty: false };
    },
    async copy({ operation, sources }) {
      done.push(`copy ${operation.step.title}`);
      const read = operation.sources.map((source) => (source.kind === 'path' ? (files.get(source.pattern) ?? '') : ''));
      return made(`copy ${operation.destination} ${read.join()} ${sources.length} ${operation.epoch}`);
    },
    async makeDirectory(operation) {
      done.push(`directory ${operation.step.title}`);
      return made(`directory ${operation.path}`);
    },
    workspace: never,
    seal: never,
    squash: async (layers) => made(`squash ${layers.map(({ directory }) => directory).join()}`),
    exportTree: never,
  };
}

function fakeRuns(done: string[], slow: Promise<void>): RunWork {
  let count = 0;
  return {
    async run({ operation }, output, signal) {
      done.push(`run ${operation.step.title}`);
      const text = operation.argv.at(-1) ?? '';
      const [command, word = ''] = [text.split(' ')[0], text.slice(text.indexOf(' ') + 1)];
      if (command === 'print') for (const line of word.split(';')) output('stdout', Buffer.from(`${line}\n`));
      if (command === 'exit') {
        output('stderr', Buffer.from('it went\nwrong\n'));
        throw new ProcessFailure(`process "${operation.argv.join(' ')}" did not complete successfully: exit code: ${word}`, Number(word));
      }
      if (command === 'slow') await slow;
      if (command === 'wait') {
        const { promise, reject } = Promise.withResolvers<never>();
        signal.addEventListener('abort', () => reject(signal.reason));
        await promise;
      }
      return made(command === 'random' ? `random ${count++}` : `run ${text}`);
    },
  };
}

function fakeCache(cached: Map<string, CacheRecord>): BuildCache {
  return {
    keyOf: cacheKeyOf,
    find: async (key) => cached.get(key.digest) ?? null,
    async add(key, record, { replace } = { replace: false }) {
      const known = cached.get(key.digest);
      if (known && !replace) return known;
      const added = { ...record, key: key.digest, createdAt: new Date() };
      cached.set(key.digest, added);
      return added;
    },
    explain: async (_, outcome) => ({ cached: outcome === 'hit', reasons: [outcome] }),
    mounts: { acquire: () => Promise.reject(new Error('not in this test')) } as never,
    usage: async () => [],
    prune: async () => ({ deleted: [], reclaimedBytes: 0 }),
    layerDirectories: () => new Set(),
    holds: () => false,
    close: async () => {},
  };
}

interface FakeContextWorld {
  readonly opened: () => void;
  readonly released: () => void;
  readonly files: ReadonlyMap<string, string>;
  readonly done: string[];
}

/** The file `Dockerfile` is really there. */
function fakeContexts({ opened, released, files, done }: FakeContextWorld): ContextStore {
  const held = (name: string): HeldContext => {
    opened();
    done.push(name);
    const directory = mkdtempSync(join(tmpdir(), 'fake-context-'));
    for (const [path, text] of files) if (path.endsWith('ockerfile')) writeFileSync(join(directory, path), text);
    return { files: { kind: 'files', directory, index: null }, digest: digestOf(name), release: async () => released() };
  };
  return {
    async receive(_, progress) {
      progress(100);
      return held('context');
    },
    git: async ({ url }) => ({ ...held(`git ${url}`), commit: 'c'.repeat(40), committedAt: new Date(5000) }),
    http: async ({ url }) => ({ ...held(`http ${url}`), isArchive: !url.endsWith('ockerfile'), fileName: 'Dockerfile' }),
    empty: async () => held('empty'),
    newestTime: async () => 77,
    usage: async () => [],
    prune: async () => ({ deleted: [], reclaimedBytes: 0 }),
  } as ContextStore;
}

function fakeOutputs(exports: ExportRequest[]): Outputs {
  return {
    async export(request) {
      exports.push(request);
      request.report({ id: 'exporting layers', current: 0, total: 0, done: true });
      const [image] = request.images;
      const id = image === undefined ? null : digestOf(encodeImageConfig(image.config));
      return { imageId: id as ImageId | null, configDigest: id, digest: id, mediaType: mediaTypes.ociManifest, sizeBytes: 1, names: [] };
    },
  };
}
