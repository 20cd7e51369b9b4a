/**
 * What a build came to, handed over: to the image store, to registries, to the client. Contract: `outputs.ts`.
 *
 *     trees and configs ─▶ assembled (blobs under a lease) ─┬─▶ image store ─▶ registry
 *                                                           └─▶ archive to the client
 *     trees ─▶ files to the client
 *
 * Names are given in the commit that makes the image visible; what fails before leaves nothing behind. A push that fails leaves the image in the store, whole.
 */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImageId } from '../../base/brand.ts';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import { admitImage } from '../../images/admit.ts';
import type { ImageProgress } from '../../images/catalogue.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Transfers } from '../../images/transfers.ts';
import { choosePlatform, hostPlatform, type Platform } from '../../oci/platform.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { LayerCompression, OutputRequest } from '../build-request.ts';
import type { LayerWork } from '../files/layer-work.ts';
import { type AssembledImage, type Assembly, assemble } from './assemble-image.ts';
import { fileArchive } from './file-archive.ts';
import { imageArchive } from './image-archive.ts';
import { LayerBlobs } from './layer-blobs.ts';
import type { ExportRequest, ExportStep, Outputs } from './outputs.ts';

export interface OutputsOptions {
  readonly store: ImageStore;
  readonly transfers: Pick<Transfers, 'push'>;
  readonly exportTree: LayerWork['exportTree'];
  readonly host?: Platform;
}

type Outcome = Awaited<ReturnType<Outputs['export']>>;

export function createOutputs(options: OutputsOptions): Outputs {
  const layers = new LayerBlobs(options.store.blobs);
  return {
    async export(request, signal) {
      check(request);
      const { store } = options;
      const lease = store.leases.acquire();
      let isClean = false;
      try {
        const outcome = await new Export(options, layers, request, lease, signal).run();
        isClean = request.outputs.every(({ type }) => type === 'image');
        return outcome;
      } finally {
        lease.release();
        // What was written for an archive, or for what failed.
        if (!isClean) await store.sweeper.sweep();
      }
    },
  };
}

/** Before anything is written. */
function check({ outputs, images }: ExportRequest): void {
  if (images.length === 0) throw new EngineError('system', 'a build without an image asked for outputs');
  for (const { type, push, names } of outputs) {
    if (push && type !== 'image') throw invalid(`an output of type ${type} cannot be pushed: use type=image or type=registry`);
    if (push && names.length === 0) throw invalid('tag is needed when pushing to registry: name the image with -t');
    for (const name of names)
      if (parseReference(name).digest !== null) throw invalid(`refusing to create a tag with a digest reference: ${name}`);
    if (type === 'docker' && images.length > 1)
      throw invalid('docker exporter does not currently support exporting manifest lists: use type=oci for several platforms');
  }
}

class Export {
  readonly #options: OutputsOptions;
  readonly #layers: LayerBlobs;
  readonly #request: ExportRequest;
  readonly #lease: Lease;
  readonly #signal: AbortSignal;
  /** Outputs of one build that want the same share it. */
  readonly #assemblies = new Map<string, Promise<Assembly>>();

  constructor(options: OutputsOptions, layers: LayerBlobs, request: ExportRequest, lease: Lease, signal: AbortSignal) {
    this.#options = options;
    this.#layers = layers;
    this.#request = request;
    this.#lease = lease;
    this.#signal = signal;
  }

  async run(): Promise<Outcome> {
    let outcome: Outcome = { imageId: null, configDigest: null, digest: null, mediaType: null, sizeBytes: 0, names: [] };
    for (const output of this.#request.outputs) {
      this.#signal.throwIfAborted();
      outcome = combine(outcome, await this.#one(output));
    }
    return outcome;
  }

  async #one(output: OutputRequest): Promise<Outcome> {
    if (output.type === 'tar' || output.type === 'local') {
      const isSplit = output.platformSplit ?? this.#request.images.length > 1;
      const files = fileArchive(this.#options.exportTree, this.#request.images, isSplit, this.#signal);
      await this.#send(files, output, output.type === 'tar' ? 'sending tarball' : 'copying files');
      return { imageId: null, configDigest: null, digest: null, mediaType: null, sizeBytes: 0, names: [] };
    }
    const assembly = await this.#assembled(output);
    if (output.type === 'image') return outcomeOf(assembly, output, await this.#store(assembly, output));
    const archive = await imageArchive(this.#options.store.blobs, output.type, assembly, output.names);
    await this.#send(archive, output, 'sending tarball');
    return outcomeOf(assembly, output, null);
  }

  #assembled({ names, annotations, compression, push }: OutputRequest): Promise<Assembly> {
    const chosen = push ? pushed(compression) : compression;
    const withNames = this.#request.images.some(({ attestations }) => attestations.length > 0);
    const key = JSON.stringify([withNames ? names : [], [...annotations].sort(), chosen.kind, chosen.level, chosen.force]);
    const known = this.#assemblies.get(key);
    if (known !== undefined) return known;
    const assembly = this.#during('exporting layers', () => {
      const parts = { blobs: this.#options.store.blobs, layers: this.#layers, lease: this.#lease, signal: this.#signal };
      return assemble(parts, { images: this.#request.images, names, compression: chosen, annotations });
    });
    this.#assemblies.set(key, assembly);
    return assembly;
  }

  /** The image of this machine's platform gets the names; the others are in the index it came as. */
  async #store(assembly: Assembly, output: OutputRequest): Promise<ImageId> {
    const { store, host = hostPlatform() } = this.#options;
    const image = choosePlatform(assembly.images, host) ?? assembly.images[0];
    if (image === undefined) throw new EngineError('system', 'a build without an image asked for outputs');
    const id = image.config.digest as string as ImageId;
    const isKnown = store.records.get(id) !== undefined;
    await this.#during(`writing image ${id}`, () => this.#admit(assembly, image, output));
    if (!isKnown) store.emit({ action: 'create', id, attributes: { name: id } });
    for (const name of output.names) await this.#name(id, name);
    if (output.push) await this.#push(output.names);
    return id;
  }

  async #admit({ target, blobs }: Assembly, image: AssembledImage, { names }: OutputRequest): Promise<void> {
    const incoming = {
      config: image.config,
      configBytes: image.configBytes,
      target: { descriptor: target, manifest: image.manifest, blobs: [...blobs] },
      layerBlobs: image.layers.map(({ digest }) => digest),
      proved: image.proved,
    };
    await admitImage(this.#options.store, incoming, { references: names, what: 'the image that was built', signal: this.#signal });
  }

  async #name(id: ImageId, name: string): Promise<void> {
    await this.#during(`naming to ${name}`, async () => {
      this.#options.store.emit({ action: 'tag', id, attributes: { name: familiarReference(parseReference(name)) } });
    });
  }

  async #push(names: readonly string[]): Promise<void> {
    const { client } = this.#request;
    for (const name of names) {
      const credentials = await client.credentials(parseReference(name).domain, this.#signal);
      const progress = new PushProgress(this.#request.report, name);
      try {
        await this.#options.transfers.push({ reference: name, platform: null, credentials }, (each) => progress.take(each), this.#signal);
      } catch (cause) {
        this.#signal.throwIfAborted();
        const code = cause instanceof EngineError ? cause.code : 'system';
        throw new EngineError(code, `failed to push ${name}: ${errorText(cause)}`, { cause });
      }
      progress.end();
    }
  }

  /** Done when the client has all of it. */
  async #send(archive: Readable, { clientOutput }: OutputRequest, id: string): Promise<void> {
    await this.#during(id, async () => {
      let destination: Awaited<ReturnType<BuildClient['output']>>;
      try {
        destination = await this.#request.client.output(clientOutput, this.#signal);
      } catch (error) {
        archive.destroy();
        throw error;
      }
      await pipeline(archive, destination, { signal: this.#signal });
    });
  }

  async #during<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#request.report({ id, current: 0, total: 0, done: false });
    const result = await work();
    this.#request.report({ id, current: 0, total: 0, done: true });
    return result;
  }
}

/** Registries and those who pull are better off with compressed layers. */
function pushed(compression: LayerCompression): LayerCompression {
  return compression.kind === null ? { ...compression, kind: 'gzip' } : compression;
}

function outcomeOf({ images, target }: Assembly, { names }: OutputRequest, imageId: ImageId | null): Outcome {
  const [only, ...others] = images;
  const configDigest = only !== undefined && others.length === 0 ? only.config.digest : null;
  return { imageId, configDigest, digest: target.digest, mediaType: target.mediaType, sizeBytes: target.size, names };
}

/** The image store's word counts before that of archives; names are those of all outputs. */
function combine(before: Outcome, now: Outcome): Outcome {
  const names = [...new Set([...before.names, ...now.names])];
  const isBetter = now.digest !== null && (before.digest === null || (before.imageId === null && now.imageId !== null));
  return { ...(isBetter ? now : before), names };
}

/** Lines of a push by layer, as one: how much of what is known so far was sent. Then the manifest. */
class PushProgress {
  readonly #report: (step: ExportStep) => void;
  readonly #name: string;
  readonly #layers = new Map<string, { current: number; total: number }>();

  constructor(report: (step: ExportStep) => void, name: string) {
    this.#report = report;
    this.#name = name;
    this.#tell(false);
  }

  take(progress: ImageProgress): void {
    if (progress.kind === 'pushed') {
      const id = `pushing manifest for ${this.#name}@${progress.digest}`;
      for (const done of [false, true]) this.#report({ id, current: 0, total: 0, done });
    }
    if (progress.kind !== 'progress') return;
    this.#layers.set(progress.id, { current: progress.current, total: progress.total });
    this.#tell(false);
  }

  end(): void {
    for (const layer of this.#layers.values()) layer.current = layer.total;
    this.#tell(true);
  }

  #tell(done: boolean): void {
    const sum = (key: 'current' | 'total') => this.#layers.values().reduce((all, layer) => all + layer[key], 0);
    this.#report({ id: 'pushing layers', current: sum('current'), total: sum('total'), done });
  }
}
