import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AT_FDCWD, closeDescriptor, deviceNumber, makeDirectoryAt, O_DIRECTORY, O_PATH, O_RDONLY, openAt } from './file-calls.ts';
import { openInRoot, openRoot, readFileInRoot } from './path-in-root.ts';
import { removeTree } from './remove-tree.ts';

const directory = mkdtempSync(join(tmpdir(), 'g-root-'));
const root = join(directory, 'root');
mkdirSync(join(root, 'etc'), { recursive: true });
writeFileSync(join(root, 'etc', 'passwd'), 'inside');
writeFileSync(join(directory, 'secret'), 'outside');
symlinkSync('/etc/passwd', join(root, 'absolute'));
symlinkSync('../../../../../../etc/passwd', join(root, 'relative'));
symlinkSync('../secret', join(root, 'out'));
symlinkSync('loop', join(root, 'loop'));
symlinkSync(`/proc/self/fd`, join(root, 'magic'));
execFileSync('mkfifo', [join(root, 'fifo')]);
after(() => rmSync(directory, { recursive: true, force: true }));

test('readFileInRoot: links and .. stay inside', () => {
  for (const path of ['etc/passwd', '/etc/passwd', 'absolute', 'relative', '../../etc/passwd']) {
    assert.equal(readFileInRoot(root, path, 100)?.toString(), 'inside', path);
  }
  for (const path of ['out', '../secret', 'missing', 'etc/passwd/x', 'magic/0']) assert.equal(readFileInRoot(root, path, 100), null, path);
  const descriptor = openRoot(root);
  assert.equal(readFileInRoot(descriptor, 'absolute', 6)?.toString(), 'inside');
  closeDescriptor(descriptor);
});

test('readFileInRoot: FIFOs, directories, devices and large files are refused without blocking', () => {
  for (const path of ['fifo', 'etc'])
    assert.throws(() => readFileInRoot(root, path, 100), { code: 'invalid', message: /not a regular file/ });
  assert.throws(() => readFileInRoot('/', '/dev/null', 100), { code: 'invalid', message: /not a regular file/ });
  assert.throws(() => readFileInRoot(root, 'etc/passwd', 5), { code: 'invalid', message: /larger than 5 bytes/ });
  assert.throws(() => readFileInRoot(root, 'loop', 5), { name: 'SystemCallError', errnoName: 'ELOOP' });
  assert.throws(() => readFileInRoot(root, 'a\0b', 5), { code: 'invalid', message: /NUL/ });
});

test('readFileInRoot: files of /proc, which say that they are empty', () => {
  assert.match(readFileInRoot('/proc', 'sys/kernel/hostname', 1000)?.toString() ?? '', /./);
  assert.ok((readFileInRoot('/proc', 'kallsyms', 64 * 1024 ** 2)?.length ?? 0) > 5000);
});

test('openInRoot: magic links are not followed', () => {
  assert.throws(() => openInRoot('/proc', `${process.pid}/root/etc`, O_PATH), { name: 'SystemCallError', errnoName: 'ELOOP' });
});

test('removeTree: deeper than paths reach, any names, nothing outside', () => {
  const parent = openAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  makeDirectoryAt(parent, 'tree', 0o700);
  makeDirectoryAt(parent, 'trash', 0o700);
  const trash = openAt(parent, 'trash', O_PATH | O_DIRECTORY);
  let current = openAt(parent, 'tree', O_PATH | O_DIRECTORY);
  for (let depth = 0; depth < 2500; depth++) {
    makeDirectoryAt(current, 'xx', 0o700);
    if (depth % 100 === 0) makeDirectoryAt(current, '\udcff', 0o700);
    const next = openAt(current, 'xx', O_PATH | O_DIRECTORY);
    closeDescriptor(current);
    current = next;
  }
  symlinkSync(root, join(directory, 'tree', 'link'));
  removeTree(parent, 'tree', trash);
  removeTree(parent, 'not there', trash);
  assert.deepEqual(readdirSync(join(directory, 'trash')), []);
  assert.ok(!readdirSync(directory).includes('tree'));
  assert.equal(readFileInRoot(root, 'etc/passwd', 100)?.toString(), 'inside');
  for (const descriptor of [current, trash, parent]) closeDescriptor(descriptor);
});

test('deviceNumber: as the C library makes them', () => {
  assert.equal(deviceNumber(1, 3), 0x103n);
  assert.equal(deviceNumber(259, 70_000), 0x1111_0370n);
});
