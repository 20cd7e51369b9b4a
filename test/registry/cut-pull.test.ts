/** A pull cut at 20 random points, 3 of them by SIGKILL of the daemon. Needs root. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { type Cut, cutPull } from './cut-pull.ts';

const points = 20;
const cuts: readonly Cut[] = ['comes back', 'gives up', 'comes back', 'daemon killed', 'comes back', 'gives up'];

describe('a pull that is cut', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  let daemon: GantryDaemon;
  let registry: FaultRegistry;
  before(async () => {
    [daemon, registry] = await Promise.all([startGantry({ flags: ['--max-download-attempts', '2'] }), startFaultRegistry()]);
  });
  after(async () => {
    await daemon?.dispose();
    await registry?.close();
  });

  test(`at ${points} random points: completes, and fetches no byte of a finished layer again`, async () => {
    for (let point = 0; point < points; point++) {
      const cut = cuts[point % cuts.length] ?? 'gives up';
      const { servedBytes, totalBytes } = await cutPull(daemon, registry, 100 + point, cut).catch((error: Error) => {
        throw new Error(`point ${point} (${cut}): ${error.message}`, { cause: error });
      });
      // What was on its way when the connections broke; a killed daemon loses what it had not written too.
      assert.ok(servedBytes < totalBytes + 4_000_000, `point ${point}: ${servedBytes} bytes served of ${totalBytes}`);
    }
  });
});
