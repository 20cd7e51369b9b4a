/** `gantry system reset`. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { suite, test } from 'node:test';
import { ownCgroups, processesOf } from '../faults/residue.ts';
import { runCommand } from '../harness/command.ts';
import { startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('system reset', { skip }, () => {
  test('asks, then removes everything that the daemon has, in the kernel and on the disk', async () => {
    const daemon = await startGantry();
    try {
      await loadBusybox(daemon.host);
      const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);
      const reset = (input: string, ...args: string[]) =>
        runCommand(
          [
            process.execPath,
            '--no-warnings',
            programEntry,
            '-H',
            daemon.host,
            'system',
            'reset',
            '--pidfile',
            `${daemon.directory}/pid`,
            ...args,
          ],
          { input },
        );
      await docker('network', 'create', 'n');
      await docker('run', '-d', '--network', 'n', '--restart', 'always', '-v', 'v:/v', '-v', '/anon', 'busybox', 'sleep', '1000');
      await docker('volume', 'create', '--opt', 'type=tmpfs', '--opt', 'device=tmpfs', 'mounted');
      await docker('run', '-d', '-v', 'mounted:/v', 'busybox', 'sleep', '1000');
      const asked = await reset('n\n');
      assert.equal(asked.status, 0, asked.stderr);
      assert.match(asked.stdout, /This will remove 2 containers, 1 images, 3 volumes with their data and everything else below/);
      assert.equal((await docker('ps', '-q')).stdout.trim().split('\n').length, 2);
      const done = await reset('', '--force');
      assert.equal(done.status, 0, done.stderr);
      assert.equal(done.stdout, `Removed everything below ${daemon.dataRoot}\n`);
      assert.deepEqual(readdirSync(daemon.dataRoot), []);
      for (let attempt = 0; attempt < 100 && processesOf(daemon).length > 0; attempt++) await new Promise((wake) => setTimeout(wake, 50));
      assert.deepEqual(processesOf(daemon), []);
      assert.deepEqual(ownCgroups(daemon), []);
      await daemon.restart();
      assert.equal((await docker('ps', '-aq')).stdout + (await docker('volume', 'ls', '-q')).stdout, '');
    } finally {
      await daemon.dispose();
    }
  });
});
