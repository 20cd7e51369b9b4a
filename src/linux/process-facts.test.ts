import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProcessFacts } from './process-facts.ts';

test('readProcessFacts: a name with blanks, parentheses and control characters', () => {
  const files: Record<string, string> = {
    '/proc/7/stat': '7 (a) b\u001b) R 3 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1000 2000 3\n',
    '/proc/7/status': 'Name:\ta\nUid:\t1000\t1001\t1000\t1000\nVmRSS:\t     512 kB\n',
    '/proc/stat': 'cpu 1\nbtime 1700000000\n',
  };
  assert.deepEqual(
    readProcessFacts(7, (path) => files[path] ?? null),
    {
      ...{ pid: 7, ppid: 3, uid: 1001, name: 'a) b?', state: 'R', cpuSeconds: 2, residentBytes: 512 * 1024 },
      startedAt: new Date(1700000010_000),
    },
  );
  assert.equal(
    readProcessFacts(8, () => null),
    null,
  );
});
