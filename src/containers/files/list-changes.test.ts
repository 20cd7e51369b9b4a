import assert from 'node:assert/strict';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { listChanges } from './list-changes.ts';

function tree(paths: Readonly<Record<string, string | null>>): string {
  const root = mkdtempSync(join(tmpdir(), 'g-changes-'));
  for (const [path, text] of Object.entries(paths)) {
    if (text === null) mkdirSync(join(root, path), { recursive: true });
    else writeFileSync(join(root, path), text);
    if (text !== null) utimesSync(join(root, path), 1000, 1000);
  }
  return root;
}

test('listChanges: added, modified and untouched copies; a directory counts for its attributes or for what is in it', () => {
  const lower = tree({
    etc: null,
    'etc/passwd': 'old',
    'etc/same': 'same',
    mode: null,
    quiet: null,
    'quiet/deep': null,
    file: 'f',
    tree: null,
  });
  const upper = tree({ etc: null, 'etc/passwd': 'new!', 'etc/same': 'same', mode: null, quiet: null, 'quiet/deep': null, file: 'f' });
  try {
    chmodSync(join(upper, 'mode'), 0o700);
    rmSync(join(upper, 'file'));
    mkdirSync(join(upper, 'file'));
    writeFileSync(join(upper, 'file/inside'), '');
    symlinkSync('x', join(upper, 'tree'));
    mkdirSync(join(upper, 'new/sub'), { recursive: true });
    writeFileSync(join(upper, 'new/a'), '');
    linkSync(join(upper, 'new/a'), join(upper, 'new/b'));
    assert.deepEqual(
      listChanges(upper, [lower], () => {}).map(({ path, kind }) => `${kind} ${path}`),
      [
        'modified /etc',
        'modified /etc/passwd',
        'modified /file',
        'added /file/inside',
        'modified /mode',
        'added /new',
        'added /new/a',
        'added /new/b',
        'added /new/sub',
        'modified /tree',
      ],
    );
  } finally {
    rmSync(lower, { recursive: true });
    rmSync(upper, { recursive: true });
  }
});

test('listChanges: nothing, and a cancelled look', () => {
  const [lower, upper] = [tree({ a: null }), tree({ a: null })];
  try {
    assert.deepEqual(
      listChanges(upper, [lower], () => {}),
      [],
    );
    const cancel = () => {
      throw new Error('cancelled');
    };
    assert.throws(() => listChanges(upper, [lower], cancel), /cancelled/);
  } finally {
    rmSync(lower, { recursive: true });
    rmSync(upper, { recursive: true });
  }
});
