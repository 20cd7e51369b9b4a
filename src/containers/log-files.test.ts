import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { LogUsers } from './log-chain.ts';
import { type LogNews, type LogReadOptions, readLogBlocks } from './log-files.ts';

function logPath(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'g-CONT-log-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'x-json.log');
}

class News implements LogNews {
  revision = 0;
  generation = 0;
  ended = false;
  #wake: (() => void) | null = null;
  async changed(seen: number): Promise<void> {
    if (seen === this.revision)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
  tell(): void {
    this.revision++;
    this.#wake?.();
  }
}

async function read(path: string, maxFiles: number, options: Partial<LogReadOptions> = {}): Promise<string[]> {
  let text = '';
  const files = { path, maxFiles, users: new LogUsers() };
  for await (const { lines } of readLogBlocks(files, { tail: null, news: null, ...options })) text += lines.toString();
  return text.split('\n').slice(0, -1);
}

test('readLogBlocks: oldest file first, torn last line left out, a missing log is empty', async (context) => {
  const path = logPath(context);
  assert.deepEqual(await read(path, 3), []);
  writeFileSync(`${path}.2`, 'a\nb\n');
  writeFileSync(`${path}.1`, 'c\ntorn');
  writeFileSync(path, 'd\ne');
  assert.deepEqual(await read(path, 3), ['a', 'b', 'c', 'd']);
});

test('readLogBlocks: tail gives the last lines whatever the files and block borders (property)', async (context) => {
  const path = logPath(context);
  const line = fc.integer({ min: 0, max: 40_000 }).map((length) => 'x'.repeat(length));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 12 }), fc.array(line, { maxLength: 12 }), fc.nat(26), async (old, recent, tail) => {
      writeFileSync(`${path}.1`, old.map((text) => `${text}\n`).join(''));
      writeFileSync(path, recent.map((text) => `${text}\n`).join(''));
      const all = [...old, ...recent];
      assert.deepEqual(await read(path, 2, { tail }), tail === 0 ? [] : all.slice(-tail));
    }),
    { numRuns: 40 },
  );
});

test('readLogBlocks: a follower sees every line once through rotations, however late it wakes', async (context) => {
  const path = logPath(context);
  const news = new News();
  writeFileSync(path, 'line 0\n');
  const reading = read(path, 30, { news });
  for (let line = 1; line < 400; line++) {
    if (line % 17 === 0) {
      for (let index = 28; index >= 1; index--) {
        try {
          renameSync(`${path}.${index}`, `${path}.${index + 1}`);
        } catch {}
      }
      renameSync(path, `${path}.1`);
      writeFileSync(path, '');
      news.generation++;
    }
    appendFileSync(path, `line ${line}\n`);
    if (line % 3 === 0) news.tell();
    if (line % 5 === 0) for (let turns = 0; turns < 40; turns++) await turn();
  }
  news.ended = true;
  news.tell();
  assert.deepEqual(
    await reading,
    Array.from({ length: 400 }, (_, line) => `line ${line}`),
  );
});

test('readLogBlocks: a follower so late that its file was deleted goes on with the oldest that is left', async (context) => {
  const path = logPath(context);
  const news = new News();
  writeFileSync(path, 'first\n');
  const reading = read(path, 2, { news });
  await new Promise((resolve) => setTimeout(resolve, 50));
  rmSync(path);
  writeFileSync(`${path}.1`, 'third\n');
  writeFileSync(path, 'fourth\n');
  news.generation = 3;
  news.ended = true;
  news.tell();
  assert.deepEqual(await reading, ['first', 'third', 'fourth']);
});

test('readLogBlocks: a log of one file that was emptied is read from its start again', async (context) => {
  const path = logPath(context);
  const news = new News();
  writeFileSync(path, 'old line\n');
  const reading = read(path, 1, { news });
  await new Promise((resolve) => setTimeout(resolve, 50));
  truncateSync(path, 0);
  appendFileSync(path, 'new\n');
  news.generation++;
  news.ended = true;
  news.tell();
  assert.deepEqual(await reading, ['old line', 'new']);
});

test('readLogBlocks: closes its files when the client leaves early', async (context) => {
  const path = logPath(context);
  writeFileSync(path, 'a\n'.repeat(100_000));
  const users = new LogUsers();
  for await (const { lines } of readLogBlocks({ path, maxFiles: 2, users }, { tail: null, news: null })) {
    assert.ok(lines.length > 0);
    break;
  }
});
