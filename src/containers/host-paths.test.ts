import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { HostPathLook } from './host-path-worker.ts';
import { HostPaths } from './host-paths.ts';
import { lookLocally } from './local-look.ts';

const found: HostPathLook = { uid: 0, gid: 0 };

test('HostPaths looks and makes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'g-paths-'));
  const paths = new HostPaths();
  try {
    assert.equal(await paths.look(join(directory, 'none')), null);
    await paths.make(join(directory, 'a/b'));
    assert.equal(statSync(join(directory, 'a/b')).isDirectory(), true);
    assert.equal((await paths.look(join(directory, 'a/b')))?.uid, process.getuid?.());
    assert.ok(await paths.look('/proc/self/status'));
    await assert.rejects(paths.look(`${directory}/${'x'.repeat(300)}`), /cannot use bind source .*ENAMETOOLONG/);
  } finally {
    await paths.close();
    rmSync(directory, { recursive: true });
  }
});

test('lookLocally looks where nothing can hang, and leaves links and other file systems alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'g-paths-'));
  symlinkSync(directory, join(directory, 'link'));
  const mountinfo = `1 0 8:1 / / rw - ext4 /dev/x rw\n2 1 0:9 / ${directory}/nfs rw - nfs server:/x rw\n`;
  assert.deepEqual(await lookLocally(mountinfo, `${directory}/./`), { uid: process.getuid?.(), gid: process.getgid?.() });
  assert.equal(await lookLocally(mountinfo, `${directory}/none/below`), null);
  for (const path of ['nfs', 'nfs/x', 'link', 'link/x', '..', '../x'])
    assert.equal(await lookLocally(mountinfo, `${directory}/${path}`), 'elsewhere', path);
  assert.equal(await lookLocally('1 0 0:1 / / rw - fuse.x x rw\n', '/'), 'elsewhere');
  rmSync(directory, { recursive: true });
});

test('HostPaths gives up on a mount that does not answer, names it, and lets only a few wait there', async () => {
  let hanging = 0;
  const release: (() => void)[] = [];
  const run = ({ path }: { path: string }) => {
    if (!path.startsWith('/proc/')) return Promise.resolve(found);
    hanging += 1;
    return new Promise<HostPathLook>((resolve) => release.push(() => resolve(found)));
  };
  const paths = new HostPaths({ run, perMount: 2, patienceMs: 50 });
  const looks = Array.from({ length: 5 }, (_, index) => paths.look(`/proc/dead/${index}`));
  await Promise.all(looks.map((look) => assert.rejects(look, /the file system on \/proc \(proc\) does not answer/)));
  assert.equal(hanging, 2);
  assert.deepEqual(await paths.look('/sys/x'), found);
  for (const end of release) end();
  await new Promise((wake) => setImmediate(wake));
  // Those that were given up are not looked at any more.
  assert.equal(hanging, 2);
});
