/** FAULT "SIGKILL at a named failpoint" of a pull: the image is whole or absent, and the next pull fetches no byte of a layer again. Needs root. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { pullFailpoints } from '../../src/base/failpoints.ts';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { addImage, noiseLayers } from '../harness/registry-images.ts';
import { imageTraces, inspectImage, partialBlobs, pull, removeImage } from '../registry/engine-images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT daemon SIGKILLed at a failpoint of a pull', { skip }, () => {
  let daemon: GantryDaemon;
  let registry: FaultRegistry;

  before(async () => {
    [daemon, registry] = await Promise.all([startGantry(), startFaultRegistry()]);
  });
  after(async () => {
    await daemon?.dispose();
    await registry?.close();
  });

  for (const [index, failpoint] of pullFailpoints.entries()) {
    test(`${failpoint}: whole or absent, and nothing is fetched twice`, async () => {
      const made = addImage(registry.content, 'crash', `v${index}`, { layers: noiseLayers(3, 300_000, 50 + index) });
      const name = `${registry.host}/crash:v${index}`;
      await daemon.crash();
      await daemon.restart(failpoint);
      assert.notEqual((await pull(daemon.host, name)).error, null, 'the daemon lived on');
      await daemon.crash();
      await daemon.restart();
      assert.equal((await inspectImage(daemon.host, name)) !== null, failpoint === 'pull.recorded');
      assert.equal((await pull(daemon.host, name)).error, null);
      for (const { digest, size } of made.layers) assert.equal(registry.bytesServed(digest), size, `bytes of ${digest}`);
      assert.deepEqual(partialBlobs(daemon), []);
      await removeImage(daemon.host, name);
      assert.deepEqual(await imageTraces(daemon), []);
    });
  }
});
