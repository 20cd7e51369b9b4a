/**
 * Pulls from a registry that does wrong: what can be survived is, with no more bytes than needed; what cannot leaves nothing visible, nothing but the beginnings of
 * layers, and a message that says what; and the next pull from the registry, well again, goes on there. Needs root.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { engineRequest } from '../faults/engine-request.ts';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import type { Fault } from '../harness/fault-registry/faults.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { addImage, layerTar, type MadeImage, noise } from '../harness/registry-images.ts';
import { imageTraces, inspectImage, keptBytes, partialBlobs, pull, removeImage } from './engine-images.ts';
import { type FaultCase, fatalFaults, survivedFaults } from './fault-cases.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const auth = { username: 'somebody', password: 'secret-of-somebody' };

describe('a registry that does wrong', { skip }, () => {
  let daemon: GantryDaemon;
  let registry: FaultRegistry;
  /** Has the same content; nobody may show it a password. */
  let other: FaultRegistry;
  let number = 0;
  let last: MadeImage;

  before(async () => {
    [daemon, registry] = await Promise.all([startGantry({ flags: ['--max-download-attempts', '2'] }), startFaultRegistry()]);
    other = await startFaultRegistry({ address: '127.0.0.2', content: registry.content });
  });
  after(async () => {
    await daemon?.dispose();
    await Promise.all([registry?.close(), other?.close()]);
  });

  // A case that failed leaves the others alone.
  afterEach(async () => {
    registry.clearPlan();
    if ((await inspectImage(daemon.host, nameOf(last))) !== null) await removeImage(daemon.host, nameOf(last));
  });

  for (const [name, one] of Object.entries(survivedFaults)) {
    test(`survived: ${name}`, async () => {
      const image = imageOf(++number);
      const planned = plan(one, image);
      await pullsWhole(image);
      assert.ok(
        planned.every(({ met }) => met > 0),
        'the fault was not met',
      );
      assertServed(image, one);
      await removed(image);
    });
  }

  for (const [name, one] of Object.entries(fatalFaults)) {
    test(`refused: ${name}`, async () => {
      const image = imageOf(++number);
      plan(one, image);
      const { error } = await pull(daemon.host, nameOf(image), { auth });
      assert.match(error ?? 'it succeeded', one.says ?? /./);
      assert.doesNotMatch(error ?? '', /secret-of-somebody|undefined|\[object|\n/);
      assert.equal(await inspectImage(daemon.host, nameOf(image)), null);
      assert.deepEqual(await imageTraces(daemon), [], 'left behind');
      const layers = image.layers.map(({ digest }) => digest as string);
      const kept = partialBlobs(daemon);
      assert.deepEqual(
        kept.filter((digest) => !layers.includes(digest)),
        [],
        'partial files of something else',
      );
      assert.equal((await engineRequest(daemon.host, 'GET', '/_ping'))?.status, 200);
      // What came whole before is not asked for again. What the registry sent and nobody had read yet when the pull was given up came to nothing.
      const whole = image.layers.filter(({ digest, size }) => keptBytes(daemon, digest) === size);
      registry.clearPlan();
      await pullsWhole(image);
      for (const { digest, size } of whole) assert.equal(registry.bytesServed(digest), size);
      await removed(image);
    });
  }

  /** Three layers of noise that no other image has. */
  function imageOf(seed: number): MadeImage {
    registry.clearPlan();
    registry.forgetRequests();
    other.forgetRequests();
    const layers = [1, 2, 3].map((index) => ({ tar: layerTar({ path: `file-${index}`, content: noise(300_000, seed * 10 + index) }) }));
    last = addImage(registry.content, `case-${seed}`, 'latest', { layers });
    return last;
  }

  function nameOf({ repository }: MadeImage): string {
    return `${registry.host}/${repository}:latest`;
  }

  function plan(one: FaultCase, image: MadeImage) {
    const on = typeof one.on === 'function' ? one.on(image) : one.on;
    const fault: Fault = typeof one.fault === 'function' ? one.fault(registry, other) : one.fault;
    const behind = one.behind === undefined ? [] : [registry.plan(one.behind.on(image), one.behind.fault)];
    return [...behind, registry.plan(on, fault, one.more)];
  }

  async function pullsWhole(image: MadeImage): Promise<void> {
    const { error } = await pull(daemon.host, nameOf(image), { auth });
    assert.equal(error, null);
    const inspected = await inspectImage(daemon.host, nameOf(image));
    assert.equal(inspected?.Id, image.config.digest);
    assert.deepEqual(inspected?.RepoDigests, [`${registry.host}/${image.repository}@${image.manifest.digest}`]);
    assert.deepEqual(other.requestsWith([auth.password]), [], 'another host saw the password');
  }

  function assertServed(image: MadeImage, { layerTimes = 1 }: FaultCase): void {
    const [first, second, third] = image.layers;
    for (const layer of [first, third]) assert.equal(registry.bytesServed(layer?.digest ?? image.config.digest), layer?.size);
    assert.ok(registry.bytesServed(second?.digest ?? image.config.digest) <= layerTimes * (second?.size ?? 0), 'more bytes than needed');
  }

  async function removed(image: MadeImage): Promise<void> {
    await removeImage(daemon.host, nameOf(image));
    assert.deepEqual(await imageTraces(daemon), [], 'the removed image left something');
    assert.deepEqual(partialBlobs(daemon), []);
  }
});
