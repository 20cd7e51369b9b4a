import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type WritableEntry, writeTar } from '../archive/tar-writer.ts';
import { checkLayer } from './check-layer.ts';
import { compareTrees } from './compare-trees.ts';

function layer(context: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'gantry-trees-'));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode: 0o644 });
  }
  return root;
}

test('compareTrees: what was added, changed and removed; what comes from the same layers is not looked at', (context) => {
  const base = layer(context, { 'same/a': '1', 'etc/hosts': 'one', 'etc/mode': 'm', 'old/x': '12', 'old/y': '3' });
  const one = layer(context, { 'etc/link-or-file': 'x' });
  const other = layer(context, { 'etc/hosts': 'two', 'etc/mode': 'm', 'new/deep/z': '12345' });
  chmodSync(join(other, 'etc/mode'), 0o600);
  symlinkSync('hosts', join(other, 'etc/link-or-file'));
  rmSync(join(base, 'gone'), { force: true });
  let looks = 0;
  const found = compareTrees({ kind: 'compare', from: [one, base], to: [other, base], limit: 10 }, () => void looks++);
  assert.deepEqual(found, {
    added: 1,
    changed: 3,
    removed: 0,
    changes: [
      { kind: 'changed', path: '/etc/hosts', type: 'file', before: 3, after: 3, aspects: ['content'] },
      { kind: 'changed', path: '/etc/link-or-file', type: 'link', before: 1, after: 0, aspects: ['type'] },
      { kind: 'changed', path: '/etc/mode', type: 'file', before: 1, after: 1, aspects: ['mode'] },
      { kind: 'added', path: '/new', type: 'directory', before: null, after: 5, aspects: [] },
    ],
  });
  const back = compareTrees({ kind: 'compare', from: [other, base], to: [one], limit: 1 }, () => undefined);
  assert.deepEqual([back.added, back.changed, back.removed, back.changes.length], [0, 1, 5, 1]);
  assert.ok(looks > 0);
});

test('checkLayer: files that are not what their tar says are named', async (context) => {
  const entries: WritableEntry[] = ['kept', 'changed', 'grown', 'gone', 'twice'].map((path) => ({
    entry: { type: 'file', path, mode: 0o644, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    content: Buffer.from(`${path}\n`),
  }));
  const again: WritableEntry = { ...(entries[4] as WritableEntry), content: Buffer.from('the last one counts') };
  const parts: Uint8Array[] = [];
  for await (const part of writeTar([...entries, again])) parts.push(part);
  const directory = layer(context, { kept: 'kept\n', changed: 'chanGed\n', grown: 'grown\nmore', twice: 'the last one counts' });
  const blobPath = join(layer(context, {}), 'blob');
  writeFileSync(blobPath, Buffer.concat(parts));
  assert.deepEqual(await checkLayer({ kind: 'check', blobPath, directory }, () => undefined), {
    files: 5,
    changed: ['"/changed": its content was changed', '"/grown": it has 10 bytes instead of 6', '"/gone": it is gone'],
    moreChanged: 0,
  });
});
