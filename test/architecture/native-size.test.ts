/** The native part stays small enough to be read in a day: docs/decisions/0002-native-size.md. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const native = join(import.meta.dirname, '../../native');
const maxLines = 4750;
const maxFileLines = 420;

test('native: within its number of lines, as a whole and in each file', () => {
  const files = readdirSync(native).filter((name) => /\.[ch]$/.test(name));
  const lines = files.map((name) => readFileSync(join(native, name), 'utf8').split('\n').length - 1);
  const all = lines.reduce((sum, count) => sum + count, 0);
  assert.ok(all <= maxLines, `${all} lines`);
  assert.deepEqual(
    files.filter((_, index) => (lines[index] ?? 0) > maxFileLines),
    [],
  );
});
