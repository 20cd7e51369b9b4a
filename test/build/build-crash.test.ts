/** Kills while an image is built; `npm run soak` has a hundred. Needs root, the docker CLI and busybox-static. */
import { after, before, suite, test } from 'node:test';
import { buildFailpoints } from '../../src/base/failpoints.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { type CrashSubject, crashDuringBuild, prepareCrashes } from './build-crash.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT daemon SIGKILLed while an image is built', { skip }, () => {
  let daemon: GantryDaemon;
  let subject: CrashSubject;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    subject = await prepareCrashes(daemon);
  });

  after(() => daemon?.dispose());

  for (const afterMs of [150, 450])
    test(`after ${afterMs} ms: whole or absent, and the next build gives the same image`, () => crashDuringBuild(daemon, subject, afterMs));
  for (const failpoint of buildFailpoints)
    test(`${failpoint}: whole or absent, and the next build gives the same image`, () => crashDuringBuild(daemon, subject, { failpoint }));
});
