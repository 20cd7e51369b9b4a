import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePathStat, encodePathStat, isDirectoryMode, isLinkMode } from './path-stat.ts';

test('encodePathStat: the bytes that dockerd sends', () => {
  const stat = { name: 'a', sizeBytes: 2, mode: 420, modifiedAtNs: '1795280531392947112', linkTarget: '' };
  const header = encodePathStat(stat);
  assert.equal(
    Buffer.from(header, 'base64').toString(),
    '{"name":"a","size":2,"mode":420,"mtime":"2026-11-21T17:02:11.392947112Z","linkTarget":""}',
  );
  assert.deepEqual(decodePathStat(header), {
    name: 'a',
    size: 2,
    mode: 420,
    mtime: '2026-11-21T17:02:11.392947112Z',
    linkTarget: '',
  });
});

test('encodePathStat: times before 1970, names beyond ASCII', () => {
  const text = Buffer.from(encodePathStat({ name: 'é', sizeBytes: 0, mode: 0, modifiedAtNs: '-1', linkTarget: '' }), 'base64').toString();
  assert.match(text, /"name":"é".*"mtime":"1969-12-31T23:59:59.999999999Z"/);
});

test('isDirectoryMode, isLinkMode: bits of Go', () => {
  assert.equal(isDirectoryMode(2147484141), true);
  assert.equal(isLinkMode(2147484141), false);
  assert.equal(isLinkMode(134218239), true);
  assert.equal(isDirectoryMode(134218239), false);
});
