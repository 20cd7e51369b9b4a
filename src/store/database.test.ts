import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { openDatabase } from './database.ts';
import { newestVersion } from './migrations.ts';

async function temporary(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-db-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return join(directory, 'gantry.db');
}

const insert = (id: string, name = id) => ({
  sql: 'INSERT INTO containers (id, name, created_at, record) VALUES (?, ?, ?, ?)',
  params: [id, name, 1, '{}'],
});
const count = 'SELECT count(*) AS n FROM containers';

test('openDatabase: writes are atomic, kept over a reopen, and conflicts name the columns', async (context) => {
  const path = await temporary(context);
  const database = await openDatabase(path);
  await database.write('full', [insert('a', 'one'), insert('b', 'two')]);
  await assert.rejects(
    database.write('full', [insert('c', 'three'), insert('d', 'one')]),
    (thrown: { code: string; details: { constraint: string } }) => {
      assert.equal(thrown.code, 'conflict');
      assert.equal(thrown.details.constraint, 'containers.name');
      return true;
    },
  );
  assert.deepEqual(await database.query(count), [{ n: 2 }]);
  await database.close();
  await assert.rejects(database.query(count), { code: 'unavailable' });
  const again = await openDatabase(path);
  assert.deepEqual(await again.query('SELECT id FROM containers WHERE name = ?', 'two'), [{ id: 'b' }]);
  await again.close();
});

test('Database.write: many at once share commits; one that fails leaves the others', async (context) => {
  const database = await openDatabase(await temporary(context));
  const results = await Promise.allSettled(
    Array.from({ length: 200 }, (_, number) =>
      database.write(number % 2 ? 'full' : 'normal', [insert(`id-${number}`, `name-${number % 150}`)]),
    ),
  );
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 50);
  assert.deepEqual(await database.query(count), [{ n: 150 }]);
  await database.close();
});

test('Database.write: order of calls is order of effects', async (context) => {
  const database = await openDatabase(await temporary(context));
  const rename = (name: string) => database.write('normal', [{ sql: 'UPDATE containers SET name = ? WHERE id = ?', params: [name, 'a'] }]);
  await Promise.all([database.write('full', [insert('a')]), rename('b'), rename('c'), rename('d')]);
  assert.deepEqual(await database.query('SELECT name FROM containers'), [{ name: 'd' }]);
  await database.close();
});

test('Database.close: what was written before it is done', async (context) => {
  const path = await temporary(context);
  const database = await openDatabase(path);
  const writing = Array.from({ length: 20 }, (_, number) => database.write('normal', [insert(`id-${number}`)]));
  await database.close();
  await Promise.all(writing);
  const again = await openDatabase(path);
  assert.deepEqual(await again.query(count), [{ n: 20 }]);
  await again.close();
});

test('openDatabase: a newer schema, a damaged file, a path that is none: said clearly', async (context) => {
  const path = await temporary(context);
  const newer = new DatabaseSync(path);
  newer.exec(`PRAGMA user_version = ${newestVersion + 1}`);
  newer.close();
  await assert.rejects(openDatabase(path), /written by a newer version of Gantry/);
  const damaged = await temporary(context);
  await writeFile(damaged, 'this is not a database at all, '.repeat(300));
  await assert.rejects(openDatabase(damaged), /is damaged .*restore it from a backup/);
  await assert.rejects(openDatabase(join(damaged, 'gantry.db')), { code: 'system', message: /cannot open/ });
});

test('openDatabase: wrong SQL fails that call alone', async (context) => {
  const database = await openDatabase(await temporary(context));
  await assert.rejects(database.query('SELECT nothing FROM nowhere'), { code: 'system' });
  await assert.rejects(database.write('full', [{ sql: 'INSERT INTO nowhere VALUES (1)', params: [] }]), { code: 'system' });
  await database.write('full', [insert('a')]);
  await database.close();
});

test('Database: a full disk is a typed error, later writes work', {
  skip: process.getuid?.() === 0 ? false : 'needs root to mount a small tmpfs',
}, async (context) => {
  const { execFileSync } = await import('node:child_process');
  const root = await mkdtemp(join(tmpdir(), 'gantry-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', root]);
  const database = await openDatabase(join(root, 'gantry.db'));
  context.after(async () => {
    await database.close();
    execFileSync('umount', [root]);
    await rm(root, { recursive: true });
  });
  const big = {
    sql: 'INSERT INTO containers (id, name, created_at, record) VALUES (?, ?, ?, ?)',
    params: ['big', 'big', 1, 'x'.repeat(3_000_000)],
  };
  await assert.rejects(database.write('full', [big]), { code: 'system', message: /no space left on device/ });
  await database.write('full', [insert('small')]);
  assert.deepEqual(await database.query(count), [{ n: 1 }]);
});
