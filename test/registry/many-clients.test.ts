/** 16 clients push and pull at once while garbage is collected twice a second; 64 and thousands of operations in `npm run soak`. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type GantryRegistry, startGantryRegistry } from '../harness/gantry-registry.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';
import { Crowd, crowdText } from './many-clients.ts';

const graceMs = 2000;

describe('many clients of our registry', () => {
  let registry: GantryRegistry;
  before(async () => {
    registry = await startGantryRegistry({ configuration: { garbageCollection: { interval: '200ms', grace: `${graceMs}ms` } } });
  });
  after(async () => await registry?.dispose());

  test('16 at once, beside the garbage collection: every acknowledged blob is there; in the end nothing is left', async (context) => {
    const crowd = new Crowd({ host: registry.host, clients: 16, operations: 12, seed: 5, graceMs });
    await crowd.run();
    const kept = await crowd.checkAll();
    // Collected meanwhile, and again with everything older than the grace.
    await delay(graceMs + 500);
    assert.equal(await crowd.checkAll(), kept);
    context.diagnostic(`${crowdText(crowd.figures)}; ${kept} images in the end`);
    await crowd.deleteAll();
    const deadline = Date.now() + 60_000;
    while (blobsOf(registry).length > 0 && Date.now() < deadline) await delay(100);
    assert.deepEqual(blobsOf(registry), []);
  });
});

function blobsOf({ storage }: GantryRegistry): readonly string[] {
  return listOrEmpty(`${storage}/blobs/sha256`);
}
