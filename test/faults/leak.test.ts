/** Short versions of the soak's leak and load rows. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';
import { engineCall } from './engine-request.ts';
import { leakCycles } from './leak-cycles.ts';
import { bigArchive, layersAndBlobs } from './load-crash.ts';
import { pingText, pingUnderLoad } from './ping-under-load.ts';
import { isAlive, ownCgroups, processesOf } from './residue.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('LEAK and load', { skip }, () => {
  let daemon: GantryDaemon;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });

  after(() => daemon?.dispose());

  test('60 containers created, started and removed leave daemon, launcher and host as they were', async (context) => {
    context.diagnostic(JSON.stringify(await leakCycles(daemon, 60, 30)));
  });

  test('/_ping is answered while an image loads and 20 containers log at full speed', async (context) => {
    const figures = await pingUnderLoad(daemon, await bigArchive(daemon.directory, 100), 20);
    context.diagnostic(pingText(figures));
    assert.ok(figures.p99Ms < 1000, pingText(figures));
  });

  test('after the last container and image and a stop, data root, exec root and cgroups are empty', async () => {
    await engineCall(daemon.host, 'DELETE', '/images/busybox');
    process.kill(daemon.pid, 'SIGTERM');
    const deadline = Date.now() + 20_000;
    while ((isAlive(daemon.pid) || processesOf(daemon).length > 0) && Date.now() < deadline) await delay(50);
    assert.deepEqual(processesOf(daemon), []);
    assert.deepEqual(filesBelow(daemon.execRoot), ['daemon.lock', 'launcher.lock']);
    assert.deepEqual(
      [...listOrEmpty(`${daemon.dataRoot}/containers`), ...listOrEmpty(`${daemon.dataRoot}/blobs/tmp`), ...layersAndBlobs(daemon)],
      [],
    );
    assert.deepEqual(ownCgroups(daemon), []);
  });
});

function filesBelow(directory: string): readonly string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
