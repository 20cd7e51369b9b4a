import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BuildRecord } from '../builder.ts';
import { fileHistory, memoryHistory } from './build-history.ts';

function record(id: string): BuildRecord {
  return {
    id,
    name: 'app',
    startedAt: new Date(1000),
    completedAt: null,
    status: 'running',
    steps: 0,
    cachedSteps: 0,
    warnings: 0,
    error: null,
    imageId: null,
  };
}

const done = {
  completedAt: new Date(2000),
  status: 'completed',
  steps: 3,
  cachedSteps: 1,
  warnings: 0,
  error: null,
  imageId: null,
} as const;

test('memoryHistory: latest first, bounded; one that was dropped ends without a trace', () => {
  const history = memoryHistory();
  const first = history.begin(record('0'));
  for (let index = 1; index <= 200; index++) history.begin(record(String(index))).end(done);
  first.end(done);
  assert.equal(history.records().length, 200);
  assert.deepEqual([history.records()[0]?.id, history.records().at(-1)?.id], ['200', '1']);
});

test('fileHistory: is there after a restart; a build that was running is told as stopped; a damaged file is begun anew', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'build-history-'));
  const path = join(directory, 'history.json');
  try {
    const history = fileHistory(path);
    history.begin(record('a')).end(done);
    history.begin(record('b'));
    for (let tries = 0; tries < 500 && !readable(path)?.includes('"b"'); tries++) await delay(10);
    const [b, a] = fileHistory(path).records();
    assert.deepEqual([a?.id, a?.status, a?.steps, a?.completedAt], ['a', 'completed', 3, new Date(2000)]);
    assert.deepEqual([b?.id, b?.status, b?.error], ['b', 'error', 'the daemon was stopped during the build']);
    writeFileSync(path, '{"half');
    assert.deepEqual(fileHistory(path).records(), []);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

function readable(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
