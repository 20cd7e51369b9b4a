import { suite, test } from 'node:test';
import { startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { liveWithoutDaemon } from './without-daemon.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

/** One minute; ten in the soak. */
suite('FAULT a minute without a daemon', { skip }, () => {
  test('50 containers write on: none restarted, no byte lost, exit codes kept', async () => {
    const daemon = await startGantry();
    try {
      await loadBusybox(daemon.host);
      await liveWithoutDaemon(daemon, 50, 60_000);
    } finally {
      await daemon.dispose();
    }
  });
});
