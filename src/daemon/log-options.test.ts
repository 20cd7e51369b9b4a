import assert from 'node:assert/strict';
import test from 'node:test';
import { logDefaults } from './log-options.ts';

const read = (driver: string | null, ...options: readonly string[]) =>
  logDefaults(new Map([...(driver === null ? [] : [['log-driver', [driver]] as const]), ['log-opt', options] as const]));

test('logDefaults: json-file, another driver, options', () => {
  assert.deepEqual(read(null), { Type: 'json-file', Config: {} });
  assert.deepEqual(read('local', 'max-size=5m'), { Type: 'local', Config: { 'max-size': '5m' } });
  assert.deepEqual(read('json-file', 'tag=a=b').Config, { tag: 'a=b' });
});

test('logDefaults: what is wrong is told at the start of the daemon', () => {
  assert.throws(() => read('json-file', 'max-sise=1m'), /unknown log opt 'max-sise' for json-file log driver/);
  assert.throws(() => read('odd'), /plugin "odd" not found/);
  assert.throws(() => read(null, 'max-size'), /NAME=VALUE/);
});
