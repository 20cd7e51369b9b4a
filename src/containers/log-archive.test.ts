import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { archiveRotated } from './log-archive.ts';
import { LogUsers } from './log-chain.ts';
import { type LogCursor, type LogNews, type LogReadOptions, readLogBlocks } from './log-files.ts';

const never = new AbortController().signal;

/** What the monitor does, which knows nothing of archives. */
function logFixture(context: TestContext, maxFiles: number) {
  const directory = mkdtempSync(join(tmpdir(), 'g-CONT-log-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'x-json.log');
  const files = { path, maxFiles, users: new LogUsers() };
  writeFileSync(path, '');
  return {
    path,
    files,
    names: () => readdirSync(directory).sort(),
    write: (...lines: readonly string[]) => appendFileSync(path, lines.map((line) => `${line}\n`).join('')),
    rotate() {
      for (let index = maxFiles - 1; index >= 1; index--) {
        try {
          renameSync(index > 1 ? `${path}.${index - 1}` : path, `${path}.${index}`);
        } catch {}
      }
      writeFileSync(path, '');
    },
    /** The same as slowly as a busy machine may do it. */
    async rotateSlowly() {
      for (let index = maxFiles - 1; index >= 1; index--) {
        try {
          renameSync(index > 1 ? `${path}.${index - 1}` : path, `${path}.${index}`);
          for (let turns = index % 4; turns > 0; turns--) await new Promise(setImmediate);
        } catch {}
      }
      writeFileSync(path, '');
    },
    archive: () => archiveRotated(files, never),
    async read(options: Partial<LogReadOptions> = {}): Promise<string[]> {
      let text = '';
      for await (const { lines } of readLogBlocks(files, { tail: null, news: null, ...options })) text += lines.toString();
      return text.split('\n').slice(0, -1);
    },
  };
}

test('archiveRotated: compressed files are read in their place, whole, by tail and from a cursor', async (context) => {
  const log = logFixture(context, 4);
  let middle: LogCursor | null = null;
  for (const line of ['a', 'b', 'c', 'd']) {
    log.write(`${line}1`, `${line}2`);
    if (line === 'c') for await (const { end } of readLogBlocks(log.files, { tail: null, news: null })) middle = end;
    if (line !== 'd') log.rotate();
    if (line === 'b') await log.archive();
  }
  await log.archive();
  assert.equal(log.names().filter((name) => name.endsWith('.gz')).length, 3);
  assert.deepEqual(await log.read(), ['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2']);
  for (const tail of [0, 1, 2, 3, 5, 7, 8, 99]) {
    assert.deepEqual(
      await log.read({ tail }),
      tail === 0 ? [] : ['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2'].slice(-tail),
      `tail ${tail}`,
    );
  }
  assert.deepEqual(await log.read({ from: middle }), ['d1', 'd2']);
  assert.deepEqual(await log.read({ from: { file: middle?.file ?? '', offset: 3 } }), ['c2', 'd1', 'd2']);
  assert.deepEqual(await log.read({ from: { file: 'gone', offset: 3 } }), await log.read());
});

test('archiveRotated: no more files than asked for, the oldest go first; unfinished ones too', async (context) => {
  const log = logFixture(context, 3);
  writeFileSync(`${log.path}.a9-1-1.gz.tmp`, 'of a crash');
  for (let line = 0; line < 8; line++) {
    log.write(`line ${line}`);
    log.rotate();
    await log.archive();
  }
  assert.deepEqual(await log.read(), ['line 6', 'line 7']);
  assert.equal(log.names().filter((name) => name.includes('.gz')).length, 2);
});

test('archiveRotated: what a reader holds is not emptied; after it left it is, and nothing is shown twice', async (context) => {
  const log = logFixture(context, 4);
  log.write('old 1', 'old 2');
  log.rotate();
  const reader = readLogBlocks(log.files, { tail: null, news: null });
  const first = await reader.next();
  await log.archive();
  assert.ok(statSync(`${log.path}.1`).size > 0);
  assert.equal(first.done === true ? '' : first.value.lines.toString(), 'old 1\nold 2\n');
  await reader.return(undefined);
  await log.archive();
  assert.equal(statSync(`${log.path}.1`).size, 0);
  assert.deepEqual(await log.read(), ['old 1', 'old 2']);
});

test('archiveRotated: a crash before the emptying leaves lines twice on the disk, once for readers', async (context) => {
  const log = logFixture(context, 4);
  log.write('kept');
  log.rotate();
  const copy = `${log.path}.copy`;
  execFileSync('cp', [`${log.path}.1`, copy]);
  await log.archive();
  // The file as it was before it was emptied: the same inode.
  execFileSync('sh', ['-c', `cat "$1" > "$2"`, 'sh', copy, `${log.path}.1`]);
  rmSync(copy);
  assert.deepEqual(await log.read(), ['kept']);
  await log.archive();
  assert.equal(statSync(`${log.path}.1`).size, 0);
  assert.deepEqual(await log.read(), ['kept']);
});

test('archiveRotated: rotations between look-up and emptying neither lose nor double a line', async (context) => {
  const log = logFixture(context, 60);
  const expected: string[] = [];
  for (let round = 0; round < 25; round++) {
    const archiving = log.archive();
    for (let line = 0; line < 4; line++) {
      expected.push(`line ${round}.${line}`);
      log.write(`line ${round}.${line}`);
      if (line % 2 === 1) log.rotate();
      await new Promise(setImmediate);
    }
    if (round % 5 === 0) assert.deepEqual(await log.read(), expected);
    await archiving;
  }
  await log.archive();
  assert.deepEqual(await log.read(), expected);
});

test('archiveRotated: files that are being moved are archived in their order', async (context) => {
  const log = logFixture(context, 40);
  const expected: string[] = [];
  let busy = true;
  const archiving = (async () => {
    while (busy) {
      await log.archive();
      await new Promise(setImmediate);
    }
  })();
  for (let line = 0; line < 30; line++) {
    expected.push(`line ${line}`);
    log.write(`line ${line}`);
    await log.rotateSlowly();
  }
  busy = false;
  await archiving;
  await log.archive();
  assert.deepEqual(await log.read(), expected);
});

test('readLogBlocks: a follower that lost its file to rotation goes on with the archive that came after it', async (context) => {
  const log = logFixture(context, 2);
  const news: LogNews & { wake: () => void; ended: boolean; generation: number; revision: number } = {
    revision: 0,
    generation: 0,
    ended: false,
    wake: () => {},
    async changed() {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    },
  };
  log.write('first');
  const seen: string[] = [];
  const following = (async () => {
    for await (const { lines } of readLogBlocks(log.files, { tail: null, news })) seen.push(...lines.toString().trim().split('\n'));
  })();
  while (seen.length === 0) await new Promise(setImmediate);
  log.rotate();
  log.write('second');
  log.rotate();
  await log.archive();
  log.write('third');
  news.generation = 2;
  news.revision++;
  news.ended = true;
  news.wake();
  await following;
  assert.deepEqual(seen, ['first', 'second', 'third']);
});

test('readLogBlocks: a follower that comes between a rotation and the first line after it', async (context) => {
  const log = logFixture(context, 5);
  let wake = () => {};
  const changed = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  const news = { revision: 0, generation: 0, ended: false, changed };
  const tell = async () => {
    news.revision++;
    for (let turns = 0; turns < 20; turns++) {
      wake();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  log.write('a');
  const seen: string[] = [];
  const following = (async () => {
    for await (const { lines } of readLogBlocks(log.files, { tail: null, news })) seen.push(...lines.toString().trim().split('\n'));
  })();
  while (seen.length === 0) await new Promise(setImmediate);
  log.rotate();
  rmSync(log.path);
  news.generation++;
  await tell();
  log.write('b');
  await tell();
  assert.deepEqual(seen, ['a', 'b']);
  news.ended = true;
  await tell();
  await following;
});

test('readLogBlocks: files that somebody deleted are missing, and nothing waits for them', async (context) => {
  const log = logFixture(context, 5);
  for (const line of ['a', 'b', 'c', 'd']) {
    log.write(line);
    log.rotate();
  }
  rmSync(log.path);
  assert.deepEqual(await log.read(), ['a', 'b', 'c', 'd']);
  rmSync(`${log.path}.2`);
  assert.deepEqual(await log.read({ tail: 2 }), ['b', 'd']);
  const ended: LogNews = { revision: 0, generation: 0, ended: true, changed: async () => {} };
  assert.deepEqual(await log.read({ news: ended }), ['a', 'b', 'd']);
  await log.archive();
  assert.deepEqual(await log.read(), ['a', 'b', 'd']);
});

for (const what of ['FIFO', 'symlink', 'directory'] as const) {
  test(`readLogBlocks: a ${what} in place of a log file is refused and never waited for`, async (context) => {
    const log = logFixture(context, 3);
    for (const path of [`${log.path}.1`, log.path]) {
      rmSync(log.path, { force: true });
      if (what === 'FIFO') execFileSync('mkfifo', [path]);
      else if (what === 'symlink') symlinkSync('/dev/zero', path);
      else mkdirSync(path);
      await assert.rejects(log.read(), { message: /something else than a file|EISDIR/ });
      if (path !== log.path) await assert.rejects(log.archive(), { message: /something else than a file|EISDIR/ });
      rmSync(path, { recursive: true });
      writeFileSync(`${log.path}.2`, 'rotated\n');
      writeFileSync(log.path, '');
    }
  });
}
