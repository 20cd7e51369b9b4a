import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../base/finding.ts';
import { silentLogger } from '../base/log.ts';
import { createFsck } from './fsck.ts';

function finding(what: string, more: Partial<Finding> = {}): Finding {
  return { kind: 'file', what, why: 'a test', repair: { does: 'removes it', run: async () => undefined }, ...more };
}

function fsckOf(looks: readonly (readonly Finding[])[]) {
  let look = 0;
  return createFsck({ audits: [async () => looks[Math.min(look++, looks.length - 1)] ?? []], logger: silentLogger, pauseMs: 0, looks: 3 });
}

test('createFsck believes only what is in every look', async () => {
  const fsck = fsckOf([
    [finding('stays'), finding('goes')],
    [finding('stays'), finding('comes')],
    [finding('stays'), finding('comes')],
  ]);
  const { findings } = await fsck({ deep: false, repair: false });
  assert.deepEqual(
    findings.map(({ what, outcome }) => [what, outcome]),
    [['stays', 'found']],
  );
});

test('createFsck looks once at what is whole', async () => {
  let looks = 0;
  const count = async () => {
    looks++;
    return [];
  };
  const fsck = createFsck({ audits: [count], logger: silentLogger, pauseMs: 0 });
  assert.deepEqual(await fsck({ deep: true, repair: true }), { findings: [] });
  assert.equal(looks, 1);
});

test('createFsck believes a deep finding at once: bytes are read only once', async () => {
  const fsck = fsckOf([[finding('damaged', { deep: true })], []]);
  assert.equal((await fsck({ deep: true, repair: false })).findings.length, 1);
});

test('createFsck repairs what can be, and says what failed and what it leaves', async () => {
  const repaired: string[] = [];
  const fsck = fsckOf([
    [
      finding('good', { repair: { does: 'removes it', run: async () => void repaired.push('good') } }),
      finding('bad', { repair: { does: 'removes it', run: () => Promise.reject(new Error('busy')) } }),
      finding('kept', { repair: null }),
    ],
  ]);
  const { findings } = await fsck({ deep: false, repair: true });
  assert.deepEqual(repaired, ['good']);
  assert.deepEqual(
    findings.map(({ what, repair, outcome }) => [what, repair, outcome]),
    [
      ['good', 'removes it', 'repaired'],
      ['bad', 'removes it', { failed: 'busy' }],
      ['kept', null, 'found'],
    ],
  );
});
