import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { auditBuild } from './audit-build.ts';

test('auditBuild finds what no build is using, and what is not ours; while one runs, the latter only', async () => {
  const root = mkdtempSync(join(tmpdir(), 'audit-build-'));
  try {
    assert.deepEqual(await auditBuild({ root: join(root, 'none'), isBusy: () => false }), []);
    for (const name of ['tmp/empty', 'tmp/layer-1/upper', 'contexts/t-1', 'contexts/k-1', 'steps', 'mounts'])
      mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, 'history.json'), '[]');
    writeFileSync(join(root, 'strange'), '');
    const of = async (busy: boolean) => (await auditBuild({ root, isBusy: () => busy })).map(({ what }) => what.slice(root.length + 1));
    assert.deepEqual(await of(true), ['strange']);
    assert.deepEqual(await of(false), ['strange', 'tmp/layer-1', 'contexts/t-1']);
    for (const { repair } of await auditBuild({ root, isBusy: () => false })) await repair?.run();
    assert.deepEqual(await of(false), ['strange']);
    assert.ok(existsSync(join(root, 'contexts/k-1')));
  } finally {
    rmSync(root, { recursive: true });
  }
});
