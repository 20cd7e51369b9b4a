import { after, before, suite, test } from 'node:test';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { crashRound } from './crash-round.ts';

const rounds = 6;
const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT daemon SIGKILLed while containers write, run and exit', { skip }, () => {
  let daemon: GantryDaemon;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });

  after(() => daemon?.dispose());

  for (let seed = 1; seed <= rounds; seed++) test(`seed ${seed}: nothing lost, exit codes right`, () => crashRound(daemon, seed));
});
