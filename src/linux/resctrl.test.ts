/** On a directory that looks like resctrl; what only the kernel does (files that come with a group) the test makes beforehand. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { closeResctrlGroup, openResctrlGroup } from './resctrl.ts';

const directories: string[] = [];
after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function fakeResctrl(resources: readonly string[] = ['L3', 'MB']): string {
  const root = mkdtempSync(join(tmpdir(), 'gantry-resctrl-'));
  directories.push(root);
  for (const resource of [...resources, 'L3_MON']) mkdirSync(join(root, 'info', resource), { recursive: true });
  writeFileSync(join(root, 'info/L3_MON/mon_features'), 'llc_occupancy\n');
  return root;
}

test('openResctrlGroup: a group named after the container, its schemata, and it goes again', async () => {
  const root = fakeResctrl();
  const place = await openResctrlGroup('abc', { l3CacheSchema: 'L3:0=f', memBwSchema: 'MB:0=50' }, root);
  assert.deepEqual(place, { joinFiles: [join(root, 'abc/tasks')], made: [join(root, 'abc')] });
  assert.equal(readFileSync(join(root, 'abc/schemata'), 'utf8'), 'L3:0=f\nMB:0=50\n');
  rmSync(join(root, 'abc/schemata')); // the kernel's own files go with the directory
  await closeResctrlGroup(place.made);
  assert.equal(existsSync(join(root, 'abc')), false);
});

test('openResctrlGroup: a class that exists is joined when it has what is asked, and is not ours to remove', async () => {
  const root = fakeResctrl();
  mkdirSync(join(root, 'gold'));
  writeFileSync(join(root, 'gold/schemata'), '    L3:0=00f;1=0ff\n    MB:0= 50;1=100\n');
  const place = await openResctrlGroup('abc', { closID: 'gold', schemata: ['L3:1=ff', 'MB:0=50'] }, root);
  assert.deepEqual(place.made, []);
  await assert.rejects(openResctrlGroup('abc', { closID: 'gold', schemata: ['L3:0=ff'] }, root), /gold exists and does not have "L3:0=ff"/);
  await assert.rejects(openResctrlGroup('abc', { closID: 'silver' }, root), /no Intel RDT class "silver"/);
  assert.equal(existsSync(join(root, 'silver')), false);
});

test('openResctrlGroup: monitoring in a group below', async () => {
  const root = fakeResctrl();
  mkdirSync(join(root, 'mon_groups'));
  const place = await openResctrlGroup('abc', { closID: '/', enableMonitoring: true, enableCMT: true }, root);
  assert.deepEqual(place.joinFiles, [join(root, 'tasks'), join(root, 'mon_groups/abc/tasks')]);
  await assert.rejects(openResctrlGroup('abc', { closID: '/', enableMBM: true }, root), /has no memory bandwidth monitoring \(MBM\)/);
});

test('openResctrlGroup: what is missing is named', async () => {
  await assert.rejects(openResctrlGroup('abc', {}, '/nowhere'), /Intel RDT: (this processor or kernel has none|resctrl is not mounted)/);
  await assert.rejects(openResctrlGroup('abc', { memBwSchema: 'MB:0=50' }, fakeResctrl(['L3'])), /cannot share "MB" out .*has L3\)/);
  await assert.rejects(openResctrlGroup('abc', { closID: '../x' }, fakeResctrl()), /is not the name of a group/);
  await assert.rejects(openResctrlGroup('abc', { l3CacheSchema: 'nonsense' }, fakeResctrl()), /"nonsense" is not a line/);
});
test('closeResctrlGroup: one that somebody is in stays', async () => {
  const root = fakeResctrl();
  mkdirSync(join(root, 'gold'));
  writeFileSync(join(root, 'gold/tasks'), '1234\n');
  await closeResctrlGroup([join(root, 'gold')]);
  assert.equal(existsSync(join(root, 'gold')), true);
});
