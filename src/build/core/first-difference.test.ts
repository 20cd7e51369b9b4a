import assert from 'node:assert/strict';
import { chmodSync, lutimesSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstDifference } from './first-difference.ts';

/** Two directories with `d/f` and the link `d/l`; `change` works on the second, on its own terms with time. */
async function difference(change: (directory: string) => void, after: (directory: string) => void = () => {}): Promise<string | null> {
  const root = mkdtempSync(join(tmpdir(), 'difference-'));
  try {
    const [one = '', other = ''] = ['one', 'other'].map((name) => join(root, name));
    for (const directory of [one, other]) {
      mkdirSync(join(directory, 'd'), { recursive: true });
      writeFileSync(join(directory, 'd', 'f'), 'x'.repeat(300_000), { mode: 0o644 });
      symlinkSync('f', join(directory, 'd', 'l'));
    }
    change(join(other, 'd'));
    for (const path of [one, other].flatMap((directory) => ['d/l', 'd/f', 'd'].map((name) => join(directory, name)))) quietly(path);
    after(join(other, 'd'));
    const found = await firstDifference(one, other, new AbortController().signal);
    return found && `${found.path}: ${found.how}`;
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** One time for all that is there. */
function quietly(path: string): void {
  try {
    lutimesSync(path, 5, 5);
  } catch {
    // It was removed.
  }
}

test('firstDifference tells the first file and what is different about it', async () => {
  assert.equal(await difference(() => {}), null);
  const content = (directory: string) => writeFileSync(join(directory, 'f'), `${'x'.repeat(299_999)}y`);
  assert.equal(await difference(content), '/d/f: its content differs from byte 299999 on (300000 bytes both times)');
  const shorter = (directory: string) => writeFileSync(join(directory, 'f'), 'x'.repeat(10));
  assert.equal(await difference(shorter), '/d/f: its content differs from byte 10 on (300000 bytes, then 10)');
  assert.equal(await difference((directory) => chmodSync(join(directory, 'f'), 0o600)), '/d/f: its mode is 0644, then 0600');
  const added = (directory: string) => writeFileSync(join(directory, 'e'), '');
  assert.equal(await difference(added), '/d/e: it is there the second time only');
  assert.equal(await difference((directory) => rmSync(join(directory, 'f'))), '/d/f: it is there the first time only');
  const relinked = (directory: string) => {
    rmSync(join(directory, 'l'));
    symlinkSync('g', join(directory, 'l'));
  };
  assert.equal(await difference(relinked), '/d/l: it points to f, then to g');
  const later = (directory: string) => utimesSync(join(directory, 'f'), 7, 7);
  assert.equal(await difference(() => {}, later), '/d/f: its time is 1970-01-01T00:00:05.000Z, then 1970-01-01T00:00:07.000Z');
  const folder = (directory: string) => {
    rmSync(join(directory, 'f'));
    mkdirSync(join(directory, 'f'));
  };
  assert.equal(await difference(folder), '/d/f: it is a file, then a directory');
  assert.equal(await firstDifference(null, null, new AbortController().signal), null);
});
