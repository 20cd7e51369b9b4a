/**
 * Images that come with the engine, so that a first container needs no registry: `hello-world`, and `busybox` where the host has the static
 * program. They are made when they are first asked for, the same on every machine with the same program, and are ordinary images from then on.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type WritableEntry, writeTar } from '../archive/tar-writer.ts';
import type { DiffId, ImageId } from '../base/brand.ts';
import { invalid, notFound } from '../base/errors.ts';
import { defaultPath, encodeImageConfig, type ImageConfig } from '../oci/image-config.ts';
import { mediaTypes } from '../oci/manifest.ts';
import { hostPlatform, type Platform, parsePlatform, runsOn } from '../oci/platform.ts';
import { canonicalReference, familiarReference, type ImageReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import { admitImage, makeManifest } from './admit.ts';
import { busyboxRoot, isStaticProgram } from './busybox-root.ts';
import type { ImageProgress } from './catalogue.ts';
import { descriptorOf } from './docker-archive.ts';
import type { ImageStore } from './image-store.ts';

export interface EmbeddedImages {
  /** Whether `ensure` can answer for this reference; `platform` as a client gives it, null for this machine's. */
  has(reference: string, platform?: string | null): boolean;
  /** Makes the image unless the tag is there already. `not-found` for what is not embedded. */
  ensure(reference: string, onProgress: (progress: ImageProgress) => void): Promise<ImageId>;
}

export interface EmbeddedPrograms {
  /** Static programs on the host; null: that image is not offered. */
  readonly helloWorld: string | null;
  readonly busybox: string | null;
}

interface Recipe {
  readonly program: string;
  readonly command: readonly string[];
  entries(): Promise<readonly WritableEntry[]>;
}

const epoch = '1970-01-01T00:00:00Z';

export function createEmbeddedImages(store: ImageStore, programs: EmbeddedPrograms, host: Platform = hostPlatform()): EmbeddedImages {
  const recipes = recipesOf(programs);
  const making = new Map<string, Promise<ImageId>>();
  return {
    has(reference, platform = null) {
      const recipe = recipes.get(keyOf(reference));
      return recipe !== undefined && existsSync(recipe.program) && (platform === null || runsOn(host, parsePlatform(platform)));
    },
    async ensure(reference, onProgress) {
      const key = keyOf(reference);
      const recipe = recipes.get(key);
      if (!recipe)
        throw notFound(`image ${reference} is not embedded; embedded are ${[...recipes.keys()].map(familiar).join(', ') || 'none'}`);
      const present = store.records.reference(key);
      tellStart(key, onProgress);
      // Two at once share the work.
      const made = present
        ? Promise.resolve(present.id)
        : (making.get(key) ?? make(store, recipe, key, host).finally(() => making.delete(key)));
      if (!present) making.set(key, made);
      const id = await made;
      const status = present
        ? `Status: Image is up to date for ${familiar(key)}`
        : `Status: Loaded the embedded image for ${familiar(key)}`;
      onProgress({ kind: 'status', text: status });
      return id;
    },
  };
}

function recipesOf({ helloWorld, busybox }: EmbeddedPrograms): ReadonlyMap<string, Recipe> {
  const recipes = new Map<string, Recipe>();
  if (helloWorld) {
    const entries = async (): Promise<WritableEntry[]> => [
      { entry: { type: 'file', path: 'hello', mode: 0o755 }, content: await readFile(helloWorld) },
    ];
    recipes.set('docker.io/library/hello-world:latest', { program: helloWorld, command: ['/hello'], entries });
  }
  if (busybox) recipes.set('docker.io/library/busybox:latest', { program: busybox, command: ['sh'], entries: () => busyboxRoot(busybox) });
  return recipes;
}

async function make(store: ImageStore, recipe: Recipe, key: string, host: Platform): Promise<ImageId> {
  if (!(await isStaticProgram(recipe.program))) {
    throw invalid(`cannot make the embedded image ${familiar(key)}: ${recipe.program} is not a statically linked program`);
  }
  const lease = store.leases.acquire();
  let complete = false;
  try {
    const layer = await store.blobs.write(writeTar(await recipe.entries()), { lease, what: `layer of ${familiar(key)}` });
    const configBytes = encodeImageConfig(configOf(recipe, layer.digest as string as DiffId, host));
    const written = await store.blobs.write([configBytes], { lease, what: 'image config' });
    const config = descriptorOf(written, mediaTypes.ociConfig);
    const target = await makeManifest(store, lease, config, [descriptorOf(layer, mediaTypes.ociLayer)]);
    const image = { config, configBytes, target, layerBlobs: [layer.digest] };
    const { record } = await admitImage(store, image, { references: [key], what: `embedded image ${familiar(key)}` });
    complete = true;
    store.emit({ action: 'pull', id: familiar(key), attributes: { name: familiar(key).split(':')[0] ?? '' } });
    return record.id;
  } finally {
    lease.release();
    if (!complete) await store.sweeper.sweep();
  }
}

function configOf(recipe: Recipe, diffId: DiffId, host: Platform): ImageConfig {
  return {
    created: epoch,
    architecture: host.architecture,
    ...(host.variant ? { variant: host.variant } : {}),
    os: host.os,
    config: { Env: [`PATH=${defaultPath}`], Cmd: recipe.command },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: epoch, created_by: `CMD ${JSON.stringify(recipe.command)}`, comment: 'embedded in gantry' }],
  };
}

function tellStart(key: string, onProgress: (progress: ImageProgress) => void): void {
  const { path, tag } = parseReference(key);
  onProgress({ kind: 'status', text: `Pulling from ${path}`, id: tag ?? 'latest' });
}

function keyOf(text: string): string {
  return canonicalReference(withDefaultTag(parseReference(text)));
}

function familiar(key: string): string {
  const reference: ImageReference = parseReference(key);
  return familiarReference(reference);
}
