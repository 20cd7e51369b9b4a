import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOciVersion, readOciVersion } from './oci-version.ts';

test('parseOciVersion: which have the fixes of November 2025', () => {
  const weak = (text: string) => parseOciVersion(text).weakness !== null;
  assert.deepEqual(
    ['1.1.5+ds1', '1.2.7', '1.2.8', '1.2.10', '1.3.0', '1.3.2', '1.3.3', '1.4.0', '1.10.0', '2.0.0'].map((version) =>
      weak(`runc version ${version}\ncommit: x`),
    ),
    [true, true, false, false, true, true, false, false, false, false],
  );
  assert.deepEqual(
    ['1.8.1', '1.24.1', '1.25', '1.26', '2.0'].map((version) => weak(`crun version ${version}`)),
    [true, true, false, false, false],
  );
  assert.deepEqual(parseOciVersion('runsc version release-20260101.0'), {
    family: 'runsc',
    version: '20260101.0',
    weakness: parseOciVersion('').weakness,
  });
});

test('readOciVersion: a program that cannot be run says nothing', async () => {
  assert.equal((await readOciVersion('/nowhere/runc')).family, null);
});
