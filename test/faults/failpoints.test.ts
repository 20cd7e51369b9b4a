import { after, before, suite, test } from 'node:test';
import { failpoints } from '../../src/base/failpoints.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { checkWitness, failpointRound, prepareRounds } from './failpoint-round.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT daemon SIGKILLed at every named failpoint', { skip }, () => {
  let daemon: GantryDaemon;
  let expected: ReadonlySet<string>;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    expected = await prepareRounds(daemon);
  });

  after(() => daemon?.dispose());

  for (const name of failpoints)
    test(`${name}: as before or as after, and the rest goes through`, () => failpointRound(daemon, name, expected));
  test('a container that wrote all the while noticed nothing', async () => {
    await checkWitness(daemon);
  });
});
