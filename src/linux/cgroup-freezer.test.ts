import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import type { CgroupFiles } from './cgroup-files.ts';
import { type FreezerSystem, freezeCgroup, isFrozen, thawCgroup } from './cgroup-freezer.ts';
import type { CgroupHost } from './cgroup-host.ts';

const v1Host: CgroupHost = { mode: 'v1', v1: new Map([['freezer', '/f']]), unified: null, unifiedControllers: new Set() };
const v2Host: CgroupHost = { mode: 'v2', v1: new Map(), unified: '/u', unifiedControllers: new Set() };
const hybridHost: CgroupHost = { ...v1Host, mode: 'hybrid', unified: '/u' };

/** A kernel that needs `readsToFreeze` looks until every process has stopped. */
function fakeKernel(host: CgroupHost, { readsToFreeze = 2, populated = 1, refuse = '' } = {}) {
  const files = new Map([
    ['/f/c/freezer.state', 'THAWED'],
    ['/u/c/cgroup.freeze', '0'],
  ]);
  const writes: string[] = [];
  let looks = 0;
  const read = (path: string): string | null => {
    const frozen = files.get('/f/c/freezer.state') !== 'THAWED' || files.get('/u/c/cgroup.freeze') === '1';
    if (frozen && (path.endsWith('cgroup.events') || path.endsWith('freezer.state'))) looks += 1;
    const done = frozen && looks > readsToFreeze;
    if (path === '/u/c/cgroup.events') return `populated ${populated}\nfrozen ${done ? 1 : 0}\n`;
    if (path === '/f/c/freezer.state') return `${frozen ? (done ? 'FROZEN' : 'FREEZING') : 'THAWED'}\n`;
    return files.get(path) ?? null;
  };
  const write = (path: string, value: string): void => {
    writes.push(`${path}=${value}`);
    if (refuse !== '') throw Object.assign(new Error(refuse), { code: refuse });
    files.set(path, value);
  };
  const fake = { read, write } as unknown as CgroupFiles;
  const system: FreezerSystem = { host, files: fake, patienceMs: 200 };
  return { system, writes, files };
}

for (const [name, host, written] of [
  ['v1', v1Host, ['/f/c/freezer.state=FROZEN', '/f/c/freezer.state=THAWED']],
  ['v2', v2Host, ['/u/c/cgroup.freeze=1', '/u/c/cgroup.freeze=0']],
  ['hybrid', hybridHost, ['/u/c/cgroup.freeze=1', '/u/c/cgroup.freeze=0']],
] as const) {
  test(`freezeCgroup, thawCgroup: ${name}: waits until the kernel has stopped all`, async () => {
    const { system, writes } = fakeKernel(host);
    assert.equal(isFrozen('/c', system), false);
    await freezeCgroup('/c', system);
    assert.equal(isFrozen('/c', system), true);
    thawCgroup('/c', system);
    assert.equal(isFrozen('/c', system), false);
    assert.deepEqual(writes, written);
  });
}

test('freezeCgroup: processes that are in the v1 hierarchies alone are frozen there', async () => {
  const { system, writes } = fakeKernel(hybridHost, { populated: 0 });
  await freezeCgroup('/c', system);
  assert.deepEqual(writes, ['/f/c/freezer.state=FROZEN']);
});

test('freezeCgroup: out of patience: nothing is left frozen, and the error says so', async () => {
  const { system, files } = fakeKernel(v2Host, { readsToFreeze: 1e9 });
  await assert.rejects(freezeCgroup('/c', system), /unable to freeze the cgroup \/c within 0.2 s/);
  assert.equal(files.get('/u/c/cgroup.freeze'), '0');
});

test('freezeCgroup: a cgroup that is gone is a conflict; thawing it is nothing', async () => {
  const { system } = fakeKernel(v2Host, { refuse: 'ENOENT' });
  await assert.rejects(freezeCgroup('/c', system), (error) => error instanceof EngineError && error.code === 'conflict');
  thawCgroup('/c', system);
});

test('freezeCgroup: without any freezer it is unavailable', async () => {
  const { system } = fakeKernel({ ...v1Host, v1: new Map([['memory', '/m']]) });
  await assert.rejects(freezeCgroup('/c', system), (error) => error instanceof EngineError && error.code === 'unavailable');
  assert.equal(isFrozen('/c', system), false);
});
