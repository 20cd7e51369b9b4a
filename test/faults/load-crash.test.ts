/** Kills while an image comes and goes. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { bigArchive, crashDuringLoad, crashDuringRemoval } from './load-crash.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT daemon SIGKILLed while an image is loaded or removed', { skip }, () => {
  let daemon: GantryDaemon;
  let archive: string;

  before(async () => {
    assert.ok(existsSync('/bin/busybox'), 'needs busybox (apt-get install busybox-static)');
    daemon = await startGantry();
    archive = await bigArchive(daemon.directory, 40);
  });

  after(() => daemon?.dispose());

  for (const afterMs of [60, 250]) {
    test(`load, after ${afterMs} ms: whole or absent, and loads again`, () => crashDuringLoad(daemon, archive, afterMs));
  }
  for (const afterMs of [30]) {
    test(`rmi, after ${afterMs} ms: whole or absent`, () => crashDuringRemoval(daemon, archive, afterMs));
  }
});
