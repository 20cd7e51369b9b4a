/** The daemon is SIGKILLed while its restart policies are at work: no run is lost or doubled, and the count tells the truth. Needs root and the docker CLI. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { dockerOutput } from '../harness/running-containers.ts';
import { residueOf } from './residue.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const names = ['quick', 'slower', 'fails'];
const crashes = 4;

suite('FAULT daemon SIGKILLed while containers restart', { skip }, () => {
  let daemon: GantryDaemon;

  const ok = (...args: string[]) => dockerOutput(daemon.host, ...args);

  const countOf = async (name: string): Promise<number> => Number(await ok('inspect', '-f', '{{.RestartCount}}', name));
  const directoryOf = (name: string): string => join(daemon.directory, name);
  const linesOf = (name: string): number =>
    readFileSync(join(directoryOf(name), 'runs'), 'utf8')
      .trim()
      .split('\n').length;

  /** Two runs at once would meet in the directory; each run leaves a line. */
  async function run(name: string, policy: string, seconds: string): Promise<void> {
    mkdirSync(directoryOf(name));
    const script = `mkdir /data/here || touch /data/twice; echo run >> /data/runs; sleep ${seconds}; rmdir /data/here; exit 1`;
    const bind = `${directoryOf(name)}:/data`;
    await ok('run', '-d', '--name', name, '--restart', policy, '--network', 'none', '-v', bind, 'busybox', 'sh', '-c', script);
  }

  before(async () => {
    daemon = await startGantry();
    await ok('pull', 'busybox');
  });

  after(() => daemon?.dispose());

  test('runs and counts agree', async () => {
    await run('quick', 'always', '0.01');
    await run('slower', 'unless-stopped', '0.3');
    await run('fails', 'on-failure', '0.1');
    for (let crash = 0; crash < crashes; crash++) {
      // Of another length each time: back-offs, starts and ends are all hit.
      await delay(90 + crash * 130);
      await daemon.crash();
      await delay(crash * 70);
      await daemon.restart();
    }
    // Each runs, or waits for its next run.
    for (const name of names) assert.equal(await ok('inspect', '-f', '{{.State.Running}}', name), 'true', name);
    await ok('stop', '-t', '0', ...names);
    for (const name of names) {
      const [runs, restarts] = [linesOf(name), await countOf(name)];
      // The last restart that was counted may have been stopped before it began.
      assert.ok(runs - restarts === 1 || runs === restarts, `${name}: ${runs} runs, ${restarts} restarts`);
      assert.ok(!existsSync(join(directoryOf(name), 'twice')), `${name} ran twice at once`);
    }
    await ok('rm', ...names);
    assert.deepEqual(await residueOf(daemon), []);
  });
});
