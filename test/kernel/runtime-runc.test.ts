/** Debian's runc behind the same contract suite as the native runtime, through the monitor. Needs root, busybox and runc. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { StartError } from '../../src/runtime/runtime.ts';
import { newContainerId, runtimeSuite } from '../../src/runtime/runtime-suite.ts';
import { monitorOf, openNativeFixture, runcProgram, whyNoNativeRuntime } from './native-fixture.ts';

const missing = whyNoNativeRuntime() ?? (runcProgram === null ? 'needs runc (apt install runc)' : null);

if (missing !== null) it('runtime runc', { skip: missing }, () => {});
else runtimeSuite('runc', () => openNativeFixture(runcProgram));

describe('runc: what dies', { skip: missing ?? false, timeout: 60_000 }, () => {
  it('a monitor that dies: the launcher kills the container and records 137, and nothing of runc is left', async () => {
    await using fixture = await openNativeFixture(runcProgram);
    const id = newContainerId();
    const stopped = join(fixture.directory, 'stopped');
    const hooks = { poststop: [{ path: '/bin/sh', args: ['sh', '-c', `echo stopped >> ${stopped}`] }] };
    const request = {
      spec: fixture.spec(id, ['sleep', '1000'], { hooks }),
      rootfs: fixture.rootfs(),
      log: null,
      stdin: 'null',
      attachments: [],
    } as const;
    const container = await fixture.runtime.start({ id, ...request });
    const exec = await container.exec({ id: newContainerId(), spec: request.spec, stdin: false, stdout: true, stderr: false });
    process.kill(monitorOf(container.pid), 'SIGKILL');
    const exit = await container.exited;
    assert.ok(exit !== 'lost');
    assert.deepEqual([exit.code, exit.note, await exec.exited], [137, 'monitor died', 'lost']);
    for (const pid of [container.pid, exec.pid]) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    await container.release();
    assert.equal(readFileSync(stopped, 'utf8'), 'stopped\n', 'by us: `runc delete` was never called');
    assert.equal(existsSync(join(fixture.directory, 'run/c', id)), false);
    const again = await fixture.runtime.start({ id, ...request });
    await again.kill(9, 'init');
    assert.equal(((await again.exited) as { code: number }).code, 137);
    await again.release();
    assert.equal(readFileSync(stopped, 'utf8'), 'stopped\nstopped\n', 'once a run');
  });
});

/** Programs that behave as no OCI runtime should. */
describe('runtimes that misbehave', { skip: whyNoNativeRuntime() ?? false, timeout: 60_000 }, () => {
  async function startWith(script: string, patienceMs: number): Promise<{ error: Error; seconds: number; left: string }> {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-odd-'));
    const path = join(directory, 'odd-runtime');
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await using fixture = await openNativeFixture({ name: 'odd', path, args: [], patienceMs });
    const id = newContainerId();
    const request = { spec: fixture.spec(id, ['true']), rootfs: fixture.rootfs(), log: null, stdin: 'null', attachments: [] } as const;
    const began = Date.now();
    const error = await fixture.runtime.start({ id, ...request }).then(
      () => assert.fail('it was started'),
      (thrown: Error) => thrown,
    );
    const seconds = (Date.now() - began) / 1000;
    assert.equal(await fixture.runtime.adopt(id), 'lost');
    assert.equal(existsSync(join(fixture.directory, 'run/c', id)), false, 'nothing is left');
    const left = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(path));
    rmSync(directory, { recursive: true });
    return { error, seconds, left: left.join(' ') };
  }

  const commandLine = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      return '';
    }
  };

  it('one that hangs is killed with what it started, and the error says what hung', async () => {
    const { error, left } = await startWith('sleep 1000 & sleep 1000; echo never', 700);
    assert.ok(error instanceof StartError);
    assert.match(error.message, /the runtime "odd" hangs: ".*odd-runtime create" did not end within 0\.7 s and was killed/);
    assert.equal(left, '');
  });

  it('one that fails without a word, by a signal, or with a reason in its log', async () => {
    assert.match(
      (await startWith('exit 3', 20_000)).error.message,
      /"\S+ create" of the runtime "odd" ended with status 3 and gave no reason/,
    );
    assert.match((await startWith('kill -9 $$', 20_000)).error.message, /ended by signal 9/);
    const log = 'while [ "$1" != --log ]; do shift; done; echo \'{"level":"error","msg":"cgroups are mounted oddly"}\' > "$2"; exit 1';
    assert.match((await startWith(log, 20_000)).error.message, /OCI runtime create failed: cgroups are mounted oddly: unknown$/);
  });

  it('one that is not there, and one that names a process which is none of its own', async () => {
    const pidOf = 'while [ "$1" != --pid-file ]; do shift; done; echo 1 > "$2"';
    assert.match((await startWith(pidOf, 20_000)).error.message, /ended, but left no process to look after: EBADMSG/);
    const stranger = `while [ "$1" != --pid-file ]; do shift; done; echo ${process.pid} > "$2"`;
    assert.match((await startWith(stranger, 20_000)).error.message, /left no process to look after: ECHILD/);
    await using fixture = await openNativeFixture({ name: 'gone', path: '/nowhere/runtime', args: [], patienceMs: 20_000 });
    const id = newContainerId();
    const request = { spec: fixture.spec(id, ['true']), rootfs: fixture.rootfs(), log: null, stdin: 'null', attachments: [] } as const;
    await assert.rejects(
      fixture.runtime.start({ id, ...request }),
      /the runtime "gone" cannot be run: \/nowhere\/runtime: no such file or directory/,
    );
  });
});
