/** Overlays that nobody sees, by both ways that kernels have. Needs root. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { openOverlay, overlayByNames } from '../../src/linux/detached-overlay.ts';
import { closeDescriptor, isMountPoint, makeDirectoryAt } from '../../src/linux/file-calls.ts';
import { openRoot } from '../../src/linux/path-in-root.ts';
import { removeInPlace } from '../../src/linux/remove-in-place.ts';
import { shell } from '../harness/command.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('openOverlay', { skip, timeout: 60_000 }, () => {
  let root: string;
  const at = (...names: string[]): string => join(root, ...names);
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'g-overlay-'));
    for (const name of ['lower,1', 'lower:2', 'upper', 'work', 'empty']) mkdirSync(at(name));
    writeFileSync(at('lower,1', 'a'), 'first');
    writeFileSync(at('lower:2', 'a'), 'second');
    writeFileSync(at('lower:2', 'b'), 'second');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  for (const [name, open] of [
    ['openOverlay', openOverlay],
    ['overlayByNames, for kernels before 6.5', overlayByNames],
  ] as const) {
    test(`${name}: read-only and writable, seen by nobody, gone with its descriptor`, () => {
      const lowers = ['lower,1', 'lower:2'];
      const readOnly = open({ base: root, lowers, upper: null, work: null }, at('empty'));
      try {
        assert.deepEqual(readdirSync(`/proc/self/fd/${readOnly}`), ['a', 'b']);
        assert.equal(readFileSync(`/proc/self/fd/${readOnly}/a`, 'utf8'), 'first');
        assert.throws(() => makeDirectoryAt(readOnly, 'c', 0o755), /EROFS/);
      } finally {
        closeDescriptor(readOnly);
      }
      const writable = open({ base: root, lowers, upper: at('upper'), work: at('work') }, at('empty'));
      makeDirectoryAt(writable, 'c', 0o755);
      removeInPlace(writable, 'b', () => {});
      assert.deepEqual(readdirSync(`/proc/self/fd/${writable}`), ['a', 'c']);
      assert.deepEqual(readdirSync(at('upper')), ['b', 'c']);
      assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(root));
      closeDescriptor(writable);
    });
  }

  test('isMountPoint and removeInPlace: a mount ends a removal, whoever made it', async () => {
    mkdirSync(at('upper/d/e'), { recursive: true });
    const mounted = await shell(`mount -t tmpfs gantry-test ${at('upper/d/e')} && echo kept >${at('upper/d/e/file')}`);
    assert.equal(mounted.status, 0, mounted.stderr);
    const parent = openRoot(at('upper'));
    try {
      assert.equal(isMountPoint(parent, 'd'), false);
      assert.throws(() => removeInPlace(parent, 'd', () => {}), /"e" can't be removed: something is mounted there/);
      assert.equal(readFileSync(at('upper/d/e/file'), 'utf8'), 'kept\n');
    } finally {
      closeDescriptor(parent);
      await shell(`umount ${at('upper/d/e')}`);
    }
  });

  test('removeInPlace: any depth, and a caller who changes its mind', () => {
    mkdirSync(at('upper', ...Array.from({ length: 200 }, () => 'deep')), { recursive: true });
    const parent = openOverlay({ base: root, lowers: ['lower,1', 'lower:2'], upper: at('upper'), work: at('work') }, at('empty'));
    try {
      const cancel = () => {
        throw new Error('cancelled');
      };
      assert.throws(() => removeInPlace(parent, 'deep', cancel), /cancelled/);
      removeInPlace(parent, 'deep', () => {});
      assert.deepEqual(readdirSync(`/proc/self/fd/${parent}`), ['a', 'b']);
    } finally {
      closeDescriptor(parent);
    }
  });
});
