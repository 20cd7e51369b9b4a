import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { HostTree } from './host-tree.ts';

const root = mkdtempSync(join(tmpdir(), 'gantry-tree-'));
after(() => rmSync(root, { recursive: true }));

mkdirSync(join(root, 'run/driver'), { recursive: true });
mkdirSync(join(root, 'var'));
writeFileSync(join(root, 'run/driver/file'), 'text');
symlinkSync('/run', join(root, 'var/run'));
symlinkSync('../../../../../../run/driver', join(root, 'var/out'));
symlinkSync('loop', join(root, 'loop'));
symlinkSync('/nowhere', join(root, 'dangling'));
execFileSync('mkfifo', [join(root, 'fifo')]);

test('HostTree: links stay inside the root, absolute ones and those that climb', async () => {
  const tree = new HostTree(root);
  assert.equal(await tree.resolve('/var/run/driver/file'), '/run/driver/file');
  assert.equal(await tree.resolve('/var/out/file'), '/run/driver/file');
  assert.equal(await tree.text('/var/run/driver/../driver/./file'), 'text');
  assert.equal(tree.hostPath('/run'), join(root, 'run'));
  assert.deepEqual(await tree.names('/var'), ['out', 'run']);
  assert.equal(await tree.linkText('/var/run'), '/run');
});

test('HostTree: what is missing is null or empty: loops, dangling links, FIFOs, files that are too large', async () => {
  const tree = new HostTree(root);
  for (const path of ['/loop', '/dangling', '/none', '/run/driver/file/below', '/loop/x']) {
    assert.equal(await tree.resolve(path), null, path);
    assert.equal(await tree.text(path), null, path);
    assert.deepEqual(await tree.names(path), [], path);
    assert.equal(await tree.stat(path), null, path);
  }
  assert.equal(await tree.text('/fifo'), null);
  assert.equal(await tree.bytes('/run/driver/file', 3), null);
  assert.equal((await tree.bytes('/run/driver/file', 4))?.toString(), 'text');
  assert.equal(await tree.linkText('/run'), null);
});

test('HostTree: files of /proc, which say that they are empty', async () => {
  assert.match((await new HostTree('/').text('/proc/self/status')) ?? '', /^Name:/);
  assert.equal(new HostTree('/').hostPath('/proc'), '/proc');
});
