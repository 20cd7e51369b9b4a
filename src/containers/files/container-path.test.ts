import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseContainerPath } from './container-path.ts';

test('parseContainerPath: names in archives and what must be a directory, as dockerd has them', () => {
  const rows: readonly (readonly [string, string, string, boolean])[] = [
    ['/w', '/w', 'w', false],
    ['w', '/w', 'w', false],
    ['/w/', '/w', 'w', true],
    ['/w/.', '/w', '.', true],
    ['.', '/', '/', true],
    ['/', '/', '/', true],
    ['/..', '/', '/', true],
    ['/a/../../b', '/b', 'b', false],
    ['/a//b/', '/a/b', 'b', true],
  ];
  for (const [given, text, name, directory] of rows) assert.deepEqual(parseContainerPath(given), { text, name, directory }, given);
});

test('parseContainerPath: nothing, and NUL bytes, are refused', () => {
  assert.throws(() => parseContainerPath(''), { code: 'invalid', message: 'bad parameter: path cannot be empty' });
  assert.throws(() => parseContainerPath('/a\0b'), { code: 'invalid' });
});
