/** The native runtime passes the runtimes' contract suite, and what only it promises: monitors and launchers that die. Needs root and busybox. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { NativeRuntime } from '../../src/runtime/native-runtime.ts';
import type { StdioStream } from '../../src/runtime/runtime.ts';
import { newContainerId, readAll, runtimeSuite } from '../../src/runtime/runtime-suite.ts';
import { launcherPath, monitorOf, openNativeFixture, whyNoNativeRuntime } from './native-fixture.ts';

const missing = whyNoNativeRuntime();

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

if (missing !== null) it('runtime native', { skip: missing }, () => {});
else {
  runtimeSuite('native', () => openNativeFixture());

  it('native runtime: a group of Intel RDT is joined by the process and by execs, and goes at the end', async () => {
    await using fixture = await openNativeFixture();
    const resctrlRoot = join(fixture.directory, 'resctrl');
    mkdirSync(join(resctrlRoot, 'info/L3'), { recursive: true });
    mkdirSync(join(resctrlRoot, 'gold'));
    for (const [name, text] of [
      ['schemata', 'L3:0=f\n'],
      ['tasks', ''],
    ] as const)
      writeFileSync(join(resctrlRoot, 'gold', name), text);
    const runtime = new NativeRuntime({ execRoot: join(fixture.directory, 'run'), launcherPath, resctrlRoot });
    const id = newContainerId();
    const spec = fixture.spec(id, ['sleep', '1000']);
    const request = { id, spec, rootfs: fixture.rootfs(), log: null, stdin: 'null', attachments: [] } as const;
    const withRdt = (closID: string) => ({ ...request, spec: { ...spec, linux: { ...spec.linux, intelRdt: { closID } } } });
    await assert.rejects(runtime.start(withRdt('silver')), /no Intel RDT class "silver"/);
    const container = await runtime.start(withRdt('gold'));
    assert.equal(readFileSync(join(resctrlRoot, 'gold/tasks'), 'utf8'), '0');
    writeFileSync(join(resctrlRoot, 'gold/tasks'), '');
    const exec = await container.exec({ id: newContainerId(), spec, stdin: false, stdout: false, stderr: false });
    assert.equal(readFileSync(join(resctrlRoot, 'gold/tasks'), 'utf8'), '0');
    assert.ok(exec.pid > 1);
    await container.kill(9, 'init');
    await container.exited;
    await container.release();
    assert.ok(existsSync(join(resctrlRoot, 'gold')), 'it was there before');
    await runtime.close();
  });

  it('native runtime: a file of memory lies over one of /proc, as those of a driver do', async () => {
    await using fixture = await openNativeFixture();
    const id = newContainerId();
    const spec = fixture.spec(id, [
      'sh',
      '-c',
      'cat /proc/uptime; echo 2 > /proc/uptime; umount /proc/uptime; ls -ln /proc/uptime; cat /proc/uptime',
    ]);
    const file = { content: Buffer.from('ModifyDeviceFiles: 0\n'), mode: 0o444, uid: 0, gid: 0 };
    const container = await fixture.runtime.start({
      id,
      spec: { ...spec, mounts: [...spec.mounts, { destination: '/proc/uptime', type: 'memory-file', file }] },
      rootfs: fixture.rootfs(),
      log: null,
      stdin: 'null',
      attachments: [{ stdin: false, stdout: true, stderr: true }],
    });
    const said = await readAll(container.attached[0] as StdioStream);
    await container.exited;
    await container.release();
    assert.match(said.text(1), /^ModifyDeviceFiles: 0\n-r--r--r-- +1 0 +0 .*\nModifyDeviceFiles: 0\n$/);
    assert.match(said.text(2), /Read-only file system/);
  });

  describe('native runtime: what dies', { timeout: 60_000 }, () => {
    it('a monitor that dies: the launcher kills the container and records 137', async () => {
      await using fixture = await openNativeFixture();
      const id = newContainerId();
      const container = await fixture.runtime.start({
        id,
        spec: fixture.spec(id, ['sleep', '1000']),
        rootfs: fixture.rootfs(),
        log: null,
        stdin: 'null',
        attachments: [],
      });
      process.kill(monitorOf(container.pid), 'SIGKILL');
      const exit = await container.exited;
      assert.ok(exit !== 'lost');
      assert.equal(exit.code, 137);
      assert.equal(exit.note, 'monitor died');
      assert.throws(() => process.kill(container.pid, 0), { code: 'ESRCH' });
      await container.release();
    });

    it('a daemon that dies while hooks of the host run: the start is given up, and what the next one finds is ended', async () => {
      await using fixture = await openNativeFixture();
      const script = join(fixture.directory, 'hook');
      const stopped = join(fixture.directory, 'stopped');
      writeFileSync(script, '#!/bin/sh\necho $$ > "$1"; exec sleep 1000\n', { mode: 0o755 });
      const id = newContainerId();
      const pidFile = join(fixture.directory, 'pid');
      const hooks = {
        createRuntime: [{ path: script, args: ['hook', pidFile] }],
        poststop: [{ path: '/bin/sh', args: ['sh', '-c', `echo once >> ${stopped}`] }],
      };
      // Another process of ours stands for the daemon.
      const request = {
        id,
        spec: fixture.spec(id, ['true'], { hooks }),
        rootfs: fixture.rootfs(),
        log: null,
        stdin: 'null',
        attachments: [],
      };
      const source = `import { NativeRuntime } from ${JSON.stringify(new URL('../../src/runtime/native-runtime.ts', import.meta.url).href)};
        const runtime = new NativeRuntime(${JSON.stringify({ execRoot: join(fixture.directory, 'run'), launcherPath })});
        await runtime.start(${JSON.stringify(request)});`;
      const daemon = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', source], { stdio: 'inherit' });
      while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await delay(10);
      const hook = Number(readFileSync(pidFile, 'utf8'));
      daemon.kill('SIGKILL');
      await once(daemon, 'exit');
      assert.equal(await fixture.runtime.adopt(id), 'lost');
      for (let i = 0; i < 500 && isRunning(hook); i++) await delay(10);
      assert.equal(isRunning(hook), false);
      assert.equal(readFileSync(stopped, 'utf8'), 'once\n');
    });

    it('a launcher that dies: containers go on, another launcher starts the next one', async () => {
      await using fixture = await openNativeFixture();
      const launcherPid = await fixture.runtime.launcher.ensure();
      const start = async (script: string) => {
        const id = newContainerId();
        return fixture.runtime.start({
          id,
          spec: fixture.spec(id, ['sh', '-c', script]),
          rootfs: fixture.rootfs(),
          log: null,
          stdin: 'open',
          attachments: [{ stdin: true, stdout: true, stderr: true }],
        });
      };
      const old = await start('read x; echo "still here"; exit 6');
      process.kill(launcherPid, 'SIGKILL');
      await delay(50);
      const fresh = await start('exit 7');
      assert.notEqual(await fixture.runtime.launcher.ensure(), launcherPid);
      old.attached[0]?.write('\n');
      assert.equal((await readAll(old.attached[0] as StdioStream)).text(1), 'still here\n');
      for (const [container, code] of [
        [old, 6],
        [fresh, 7],
      ] as const) {
        const exit = await container.exited;
        assert.ok(exit !== 'lost');
        assert.equal(exit.code, code);
        await container.release();
      }
    });

    it('a launcher of another build: it drains, its container is adopted, and a monitor of its that dies is still recorded', async () => {
      await using fixture = await openNativeFixture();
      const execRoot = join(fixture.directory, 'run');
      const id = newContainerId();
      const container = await fixture.runtime.start({
        id,
        spec: fixture.spec(id, ['sleep', '1000']),
        rootfs: fixture.rootfs(),
        log: null,
        stdin: 'null',
        attachments: [],
      });
      const otherBuild = join(fixture.directory, 'other-launcher');
      writeFileSync(otherBuild, Buffer.concat([readFileSync(launcherPath), Buffer.from('another build')]), { mode: 0o755 });
      const oldPid = await fixture.runtime.launcher.ensure();
      await fixture.runtime.close();
      const newer = new NativeRuntime({ execRoot, launcherPath: otherBuild });
      const newPid = await newer.launcher.ensure();
      assert.notEqual(newPid, oldPid);
      const adopted = await newer.adopt(id);
      assert.ok(adopted !== 'lost' && 'pid' in adopted);
      process.kill(monitorOf(container.pid), 'SIGKILL');
      const exit = await adopted.exited;
      assert.ok(exit !== 'lost');
      assert.equal(exit.note, 'monitor died');
      await adopted.release();
      await newer.close();
      for (let i = 0; i < 200 && [oldPid, newPid].some((pid) => existsSync(`/proc/${pid}`)); i++) await delay(10);
      assert.deepEqual(
        [oldPid, newPid].map((pid) => existsSync(`/proc/${pid}`)),
        [false, false],
        'both have left',
      );
    });
  });
}
