/** A sample of the soak run's random kills. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { busyboxArchive } from '../harness/images.ts';
import { crashRound } from './crash-round.ts';

const rounds = 6;
const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT daemon SIGKILLed while containers write, run and exit', { skip }, () => {
  let daemon: GantryDaemon;

  before(async () => {
    const archive = await busyboxArchive();
    if (archive === null) throw new Error('needs busybox (apt-get install busybox-static)');
    daemon = await startGantry();
    const loaded = await runCommand(['docker', '-H', daemon.host, 'load', '-q', '-i', archive]);
    assert.equal(loaded.status, 0, loaded.stderr);
  });

  after(() => daemon?.dispose());

  for (let seed = 1; seed <= rounds; seed++) test(`seed ${seed}: nothing lost, exit codes right`, () => crashRound(daemon, seed));
});
