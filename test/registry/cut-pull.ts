/**
 * A pull that is cut at a random byte: the way to the registry breaks and comes back while the pull still tries, or after it gave up, or the daemon is killed.
 * Afterwards the image is whole; no byte of a layer that was finished is fetched again, and one that was not goes on where its partial file ends. The registry counts.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../src/base/brand.ts';
import { randomFrom } from '../faults/crash-round.ts';
import type { FaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { addImage, layerTar, type MadeImage, noise } from '../harness/registry-images.ts';
import { imageTraces, inspectImage, partialBlobs, pull, removeImage } from './engine-images.ts';

export type Cut = 'comes back' | 'gives up' | 'daemon killed';

export interface CutFigures {
  readonly cut: Cut;
  readonly atBytes: number;
  readonly totalBytes: number;
  /** On the disk when the pull was over. */
  readonly keptBytes: number;
  /** Served by the registry, over both parts. */
  readonly servedBytes: number;
}

const layersOfImage = 5;
const layerBytes = 500_000;

export async function cutPull(daemon: GantryDaemon, registry: FaultRegistry, seed: number, cut: Cut): Promise<CutFigures> {
  const image = noiseImage(registry, seed);
  const sizes = new Map(image.layers.map(({ digest, size }) => [digest, size]));
  const totalBytes = [...sizes.values()].reduce((sum, size) => sum + size, image.config.size);
  const atBytes = Math.floor(randomFrom(seed)() * totalBytes);
  const reference = `${registry.host}/${image.repository}:latest`;
  registry.forgetRequests();

  const isCut = registry.cutAfter(atBytes);
  const pulling = pull(daemon.host, reference);
  await isCut;
  let kept = new Map<Digest, number>();
  if (cut === 'comes back') {
    await delay(50);
    registry.restore();
    assert.equal((await pulling).error, null);
  } else {
    if (cut === 'daemon killed') await daemon.crash();
    const { error } = await pulling;
    assert.notEqual(error, null, 'the pull succeeded without a registry');
    kept = partialSizes(daemon, sizes);
    await assertNothingElse(daemon, reference, cut);
    if (cut === 'daemon killed') await daemon.restart();
    registry.restore();
    const before = registry.requests.length;
    assert.equal((await pull(daemon.host, reference)).error, null);
    assertResumed(registry, before, sizes, kept);
  }
  assert.equal((await inspectImage(daemon.host, reference))?.Id, image.config.digest);
  const servedBytes = registry.blobBytesServed();
  await removeImage(daemon.host, reference);
  assert.deepEqual([...(await imageTraces(daemon)), ...partialBlobs(daemon)], [], 'the removed image left something');
  const keptBytes = [...kept.values()].reduce((sum, size) => sum + size, 0);
  return { cut, atBytes, totalBytes, keptBytes, servedBytes };
}

function noiseImage(registry: FaultRegistry, seed: number): MadeImage {
  const layers = Array.from({ length: layersOfImage }, (_, index) => ({
    tar: layerTar({ path: `file-${index}`, content: noise(layerBytes * (0.5 + index / layersOfImage), seed * 100 + index) }),
    packing: 'none' as const,
  }));
  return addImage(registry.content, `cut-${seed}`, 'latest', { layers });
}

/** Beginnings of layers on the disk. */
function partialSizes({ dataRoot }: GantryDaemon, sizes: ReadonlyMap<Digest, number>): Map<Digest, number> {
  const kept = new Map<Digest, number>();
  for (const digest of sizes.keys()) {
    const size = statSync(`${dataRoot}/blobs/partial/${digest.slice('sha256:'.length)}`, { throwIfNoEntry: false })?.size;
    if (size !== undefined) kept.set(digest, size);
  }
  return kept;
}

async function assertNothingElse(daemon: GantryDaemon, reference: string, cut: Cut): Promise<void> {
  // A daemon that was killed tidies up when it starts.
  if (cut === 'daemon killed') return;
  assert.equal(await inspectImage(daemon.host, reference), null, 'the image is visible');
  assert.deepEqual(await imageTraces(daemon), [], 'more than partial files');
}

/** Each layer was asked for from where its file ended; one that was whole was not asked for. */
function assertResumed(
  registry: FaultRegistry,
  before: number,
  sizes: ReadonlyMap<Digest, number>,
  kept: ReadonlyMap<Digest, number>,
): void {
  const later = registry.requests.slice(before).filter(({ kind, method }) => kind === 'blob' && method === 'GET');
  for (const [digest, size] of sizes) {
    const there = kept.get(digest) ?? 0;
    const asked = later.filter((request) => request.digest === digest);
    if (there === size) assert.deepEqual(asked, [], `${digest} was whole and is fetched again`);
    else
      assert.deepEqual(
        asked.map(({ startsAt }) => startsAt),
        [there],
        `${digest} has ${there} of ${size} bytes`,
      );
    assert.equal(
      asked.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
      size - there,
      `${digest}: bytes of the second pull`,
    );
  }
}
