import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameInArchive, parseCopyPlace, planCopy, renamed } from './copy-paths.ts';

test('parseCopyPlace: a container before the first colon; paths that look like paths are paths', () => {
  assert.deepEqual(parseCopyPlace('c:/a:b'), { container: 'c', path: '/a:b' });
  assert.deepEqual(parseCopyPlace('/a:b'), { container: null, path: '/a:b' });
  assert.deepEqual(parseCopyPlace('./a:b'), { container: null, path: './a:b' });
  assert.deepEqual(parseCopyPlace('a'), { container: null, path: 'a' });
  assert.deepEqual(parseCopyPlace('-'), { container: null, path: '-' });
  assert.deepEqual(parseCopyPlace(':/a'), { container: '', path: '/a' });
});

test("planCopy: Docker's table", () => {
  const file = { path: '/s/f', isDirectory: false, name: 'f' };
  const directory = { path: '/s/d', isDirectory: true, name: 'd' };
  assert.deepEqual(planCopy(file, { path: '/t', kind: 'directory' }), { directory: '/t', rename: null });
  assert.deepEqual(planCopy(directory, { path: '/t/', kind: 'directory' }), { directory: '/t/', rename: null });
  assert.deepEqual(planCopy(file, { path: '/t/x', kind: 'missing' }), { directory: '/t', rename: 'x' });
  assert.deepEqual(planCopy(file, { path: '/t/x', kind: 'other' }), { directory: '/t', rename: 'x' });
  assert.deepEqual(planCopy(directory, { path: '/t/x/', kind: 'missing' }), { directory: '/t', rename: 'x' });
  assert.throws(() => planCopy(directory, { path: '/t/x', kind: 'other' }), /^CliError: cannot copy directory$/);
  assert.throws(() => planCopy(file, { path: '/t/x/', kind: 'missing' }), /^CliError: no such directory$/);
});

test('nameInArchive and renamed: the top of an archive', () => {
  assert.deepEqual(['/a/b', '/a/b/', '/a/b/.', '/', '.'].map(nameInArchive), ['b', 'b', '.', '/', '.']);
  assert.equal(renamed('d', 'd', 'x'), 'x');
  assert.equal(renamed('d/e/d', 'd', 'x'), 'x/e/d');
  assert.equal(renamed('de', 'd', 'x'), 'de');
  assert.equal(renamed('./a', '.', 'x'), 'x/a');
  assert.equal(renamed('/', '/', 'x'), 'x');
  assert.equal(renamed('/a', '/', 'x'), 'x/a');
});
