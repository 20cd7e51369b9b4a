/** The builder over real stores, cache, contexts, layers and outputs; only the process of RUN is a function of the test. Needs root: layers keep owners and whiteouts. */
import assert from 'node:assert/strict';
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { writeTar } from '../../src/archive/tar-writer.ts';
import type { Digest } from '../../src/base/brand.ts';
import { createPackageThreads } from '../../src/build/attest/package-threads.ts';
import type { BuildClient } from '../../src/build/build-client.ts';
import { BuildError } from '../../src/build/build-error.ts';
import type { BuildEvent } from '../../src/build/build-event.ts';
import type { BuildRequest } from '../../src/build/build-request.ts';
import type { BuildOutcome } from '../../src/build/builder.ts';
import { createBuildCache } from '../../src/build/cache/create-build-cache.ts';
import { createContextStore } from '../../src/build/context/create-context-store.ts';
import { createBuilder, type OpenBuilder } from '../../src/build/core/create-builder.ts';
import { fakeClient, fakeRequest } from '../../src/build/core/testing/fake-builder.ts';
import { createLayerWork, type OpenLayerWork } from '../../src/build/files/create-layer-work.ts';
import { createOutputs } from '../../src/build/output/create-outputs.ts';
import { createRunWork } from '../../src/build/run/create-run-work.ts';
import type { StepRequest } from '../../src/build/run/step-executor.ts';
import { createEmbeddedImages } from '../../src/images/embedded.ts';
import { createImageCatalogue, type OpenCatalogue } from '../../src/images/image-catalogue.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { createBlobStore } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { readFileInLayers } from '../../src/store/layer-stack.ts';
import { createLayerStore, type OpenLayerStore } from '../../src/store/layers.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const never = () => new AbortController().signal;

/** What RUN does: the words behind `/bin/sh -c`, and the directory that it writes to. */
type Command = (upper: string, words: string, step: StepRequest) => void;

interface World extends AsyncDisposable {
  readonly builder: OpenBuilder;
  readonly images: OpenCatalogue;
  readonly layers: OpenLayerStore;
  readonly layerWork: OpenLayerWork;
}

async function openWorld(root: string, command: Command): Promise<World> {
  await using cleanup = new AsyncDisposableStack();
  mkdirSync(root, { recursive: true });
  const database = await openDatabase(join(root, 'gantry.db'));
  cleanup.defer(() => database.close());
  const blobs = await createBlobStore({ root: join(root, 'blobs') });
  cleanup.defer(() => blobs.close());
  const layers = createLayerStore({ root: join(root, 'layers'), blobPath: (digest) => blobs.path(digest) });
  cleanup.defer(() => layers.close());
  const images = await createImageCatalogue({ database, blobs, layers });
  const { store } = images;
  const embedded = createEmbeddedImages(store, { helloWorld: null, busybox: '/bin/busybox' });
  const cache = await createBuildCache({
    database,
    leases: store.leases,
    isThere: ({ layer, blob }) => blobs.has(blob.digest) && readdirSync(layers.root).includes(layer.directory),
    inUse: () => store.records.inUse(),
    sweep: () => store.sweeper.sweep(),
    mountRoot: join(root, 'build/mounts'),
  });
  cleanup.defer(() => cache.close());
  store.sweeper.addOwner({ name: 'the build cache', holds: cache.holds, layerDirectories: () => cache.layerDirectories() });
  await store.sweeper.sweep();
  const layerWork = createLayerWork({ layers, blobs, root: join(root, 'build/tmp') });
  cleanup.defer(() => layerWork.close());
  const contexts = await createContextStore({ root: join(root, 'build') });
  cleanup.defer(() => contexts.close());
  const executor = {
    whyNot: () => null,
    findDevices: async () => [],
    async run(step: StepRequest) {
      const words = step.argv.at(-1) ?? '';
      if (words.startsWith('exit ')) return { exitCode: Number(words.slice(5)), oomKilled: false };
      command(step.upper, words, step);
      return { exitCode: 0, oomKilled: false };
    },
  };
  const runs = createRunWork({ executor, layers, layerWork, cacheMounts: cache.mounts, scratch: join(root, 'build/tmp') });
  cleanup.defer(() => runs.close());
  const transfers = {
    pull: async ({ reference }: { readonly reference: string }) => void (await embedded.ensure(reference, () => {})),
    push: () => Promise.reject(new Error('no registry in this test')),
  };
  const packages = createPackageThreads();
  cleanup.defer(() => packages.close());
  const builder = createBuilder({
    store,
    transfers,
    cache,
    layers: layerWork,
    runs,
    contexts,
    outputs: createOutputs({ store, transfers, exportTree: (...parameters) => layerWork.exportTree(...parameters) }),
    packages,
    registryCache: () => assert.fail('no registry in this test'),
    compress: (plain) => plain,
    host: hostPlatform(),
    version: '0.0.0',
    limit: 4,
  });
  cleanup.defer(() => builder.close());
  const parts = cleanup.move();
  return { builder, images, layers, layerWork, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

type Files = Readonly<Record<string, string>>;

function clientWith(dockerfile: string, files: Files, changedAt: number): BuildClient & { readonly events: BuildEvent[] } {
  const entries = Object.entries(files).map(([path, text]) => ({
    entry: { type: 'file' as const, path, mode: 0o644, modifiedAt: { seconds: changedAt, nanoseconds: 0 } },
    content: Buffer.from(text),
  }));
  return { ...fakeClient(dockerfile), context: async () => ({ kind: 'tar', stream: Readable.from(writeTar(entries)) }) };
}

describe('createBuilder over real stores', { skip }, () => {
  const root = mkdtempSync(join(tmpdir(), 'g-builder-'));
  let world: World;
  let ran: string[] = [];
  let time = 1_600_000_000;

  const command: Command = (upper, words) => {
    ran.push(words);
    const [verb, path = '', text = ''] = words.split(' ');
    mkdirSync(dirname(join(upper, path)), { recursive: true });
    if (verb === 'write') writeFileSync(join(upper, path), text);
    if (verb === 'random') writeFileSync(join(upper, path), `${ran.length} ${process.hrtime.bigint()}`);
    if (verb === 'mode') {
      writeFileSync(join(upper, path), '');
      chmodSync(join(upper, path), 0o4755);
    }
  };

  before(async () => {
    world = await openWorld(root, command);
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    rmSync(root, { recursive: true });
  });

  async function build(dockerfile: string, files: Files = {}, change: Partial<BuildRequest> = {}) {
    ran = [];
    // Files are written anew for each build, as a clone does.
    time += 1000;
    const client = clientWith(dockerfile, files, time);
    const outcome = await world.builder.build(fakeRequest(change), client, never());
    return { outcome, events: client.events, ran };
  }

  function named(name: string): Partial<BuildRequest> {
    const [output] = fakeRequest().outputs;
    return output === undefined ? {} : { outputs: [{ ...output, names: [`docker.io/library/${name}:latest`] }] };
  }

  function fileOf({ imageId }: BuildOutcome, path: string): string | null {
    const { layers } = world.images.catalogue.resolve(imageId ?? '');
    const { base, lowers } = world.layers.mountOrder(layers);
    return readFileInLayers(base, lowers, path, 1e6)?.toString() ?? null;
  }

  const twoStages = `FROM busybox AS build
WORKDIR /src
COPY a b ./
RUN write src/out made
FROM busybox
COPY --from=build /src/out /src/a /app/
COPY <<E /motd
hello
E
ENV A=1
CMD ["cat", "/app/out"]
`;

  it('makes the same image of the same files at another time, with and without the cache, by one build or several', async () => {
    const files = { a: 'A', b: 'B' };
    const first = await build(twoStages, files, named('two'));
    assert.deepEqual(first.ran, ['write src/out made']);
    assert.equal(fileOf(first.outcome, '/app/out'), 'made');
    assert.equal(fileOf(first.outcome, '/app/a'), 'A');
    assert.equal(fileOf(first.outcome, '/motd'), 'hello\n');
    assert.equal(fileOf(first.outcome, '/src/out'), null);
    const cached = await build(twoStages, files);
    assert.deepEqual(cached.ran, []);
    assert.equal(cached.outcome.imageId, first.outcome.imageId);
    const both = await Promise.all([build(twoStages, files, { noCache: 'all' }), build(twoStages, files, { noCache: 'all' })]);
    for (const { outcome } of both) assert.equal(outcome.imageId, first.outcome.imageId);
    const changed = await build(twoStages, { ...files, b: 'C' });
    assert.deepEqual(changed.ran, ['write src/out made'], 'a file that the step may read changed');
    assert.equal(changed.outcome.imageId, first.outcome.imageId, 'what came of it did not');
  });

  it('knows after a restart what was made before; images that go take nothing from the cache, a prune does', async () => {
    const before = await build(twoStages, { a: 'A', b: 'B' }, named('kept'));
    await world[Symbol.asyncDispose]();
    world = await openWorld(root, command);
    const again = await build(twoStages, { a: 'A', b: 'B' });
    assert.deepEqual(again.ran, []);
    assert.equal(again.outcome.imageId, before.outcome.imageId);
    for (const { id } of world.images.catalogue.list()) await world.images.catalogue.remove(id, { force: true, noPrune: false });
    const third = await build(twoStages, { a: 'A', b: 'B' });
    assert.deepEqual(third.ran, []);
    assert.equal(third.outcome.imageId, before.outcome.imageId);
    for (const { id } of world.images.catalogue.list()) await world.images.catalogue.remove(id, { force: true, noPrune: false });
    await world.builder.pruneCache({ all: true, unusedSince: null, ids: [], types: [], keepBytes: null });
    assert.deepEqual(await world.builder.cacheUsage(), []);
    assert.deepEqual(
      readdirSync(join(root, 'layers')).filter((name) => name.startsWith('d-')),
      [],
    );
  });

  it('says in --verify which file differs, and how', async () => {
    const same = await build(twoStages, { a: 'A', b: 'B' }, { verify: true });
    assert.deepEqual(same.outcome.answer?.json, { identical: true, images: [same.outcome.imageId] });
    const random = await build('FROM busybox\nRUN write x y\nRUN random etc-id\n', {}, { verify: true });
    assert.match(
      random.outcome.answer?.text ?? '',
      /\[3\/3\] RUN random etc-id \(line 3\)\n {2}\/etc-id: its content differs from byte \d+ on/,
    );
  });

  it('keeps what was there before a failed step, and nothing of the step', async () => {
    const failed = await build('FROM busybox\nRUN write x y\nWORKDIR /w\nRUN exit 7\n', {}, { keepFailed: true }).then(
      () => assert.fail('it succeeded'),
      (error: unknown) => error,
    );
    assert.ok(failed instanceof BuildError);
    assert.deepEqual([failed.failure.exitCode, failed.failure.step], [7, '[4/4] RUN exit 7']);
    const state = world.images.catalogue.resolve(failed.failure.stateImage ?? '');
    assert.deepEqual([state.config.config.WorkingDir, state.repoTags, state.layers.length], ['/w', [], 3]);
    await world.layerWork.settled();
    assert.deepEqual(
      readdirSync(join(root, 'build/tmp')).filter((name) => name !== 'empty'),
      [],
    );
  });

  it('squashes, and gives files and archives to the client', async () => {
    const squashed = await build('FROM busybox\nRUN write x one\nRUN write x two\nRUN mode s\n', {}, { squash: true });
    assert.equal(fileOf(squashed.outcome, '/x'), 'two');
    assert.equal(world.images.catalogue.resolve(squashed.outcome.imageId ?? '').layers.length, 2);
    const path = join(root, 'out.tar');
    const [output] = fakeRequest().outputs;
    assert.ok(output !== undefined);
    const client = {
      ...clientWith('FROM scratch\nCOPY a /a\n', { a: 'A' }, 5),
      output: async () => createWriteStream(path),
    };
    await world.builder.build(fakeRequest({ outputs: [{ ...output, type: 'tar' }] }), client, never());
    assert.ok(readFileSync(path).includes('a\0'));
  });

  it('attests what an image is made of when it is asked to, the same each time', async () => {
    const dockerfile =
      'FROM busybox\nCOPY <<E /var/lib/dpkg/status\nPackage: p\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nE\n';
    const attested = { provenance: 'max', sbom: true } as const;
    const first = await build(dockerfile, {}, attested);
    const second = await build(dockerfile, {}, { ...attested, noCache: 'all' });
    assert.equal(second.outcome.digest, first.outcome.digest);
    assert.match(JSON.stringify(first.outcome.provenance), /pkg:docker\/library\/busybox@latest/);
    const { store } = world.images;
    const index = JSON.parse((await store.blobs.readSmall(first.outcome.digest as Digest, 1e6)).toString());
    assert.deepEqual(index.manifests.length, 2);
  });
});
