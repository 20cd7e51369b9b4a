/** A pull cut at 20 random points, 4 of them by SIGKILL of the daemon; two daemons side by side, as most of it is waiting. Needs root. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import { startGantry } from '../harness/gantry.ts';
import { type Cut, cutPull } from './cut-pull.ts';

const points = 20;
const cuts: readonly Cut[] = ['comes back', 'gives up', 'comes back', 'gives up', 'daemon killed'];

test(`a pull that is cut at ${points} random points completes, and fetches no byte of a finished layer again`, {
  skip: process.getuid?.() === 0 ? false : 'needs root',
}, async () => {
  const all = Array.from({ length: points }, (_, point) => point);
  const outcomes = await Promise.allSettled([all.filter((point) => point % 2 === 0), all.filter((point) => point % 2 === 1)].map(cutAt));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
});

async function cutAt(chosen: readonly number[]): Promise<void> {
  const daemon = await startGantry({ flags: ['--max-download-attempts', '2'] });
  const registry = await startFaultRegistry();
  try {
    for (const point of chosen) {
      const cut = cuts[point % cuts.length] ?? 'gives up';
      const { servedBytes, totalBytes } = await cutPull(daemon, registry, 100 + point, cut).catch((error: Error) => {
        throw new Error(`point ${point} (${cut}): ${error.message}`, { cause: error });
      });
      // What was on its way when the connections broke; a killed daemon loses what it had not written too.
      assert.ok(servedBytes < totalBytes + 4_000_000, `point ${point}: ${servedBytes} bytes served of ${totalBytes}`);
    }
  } finally {
    await daemon.dispose();
    await registry.close();
  }
}
