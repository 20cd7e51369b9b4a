/**
 * The thread that owns the SQLite connection. Requests, answered in order (see worker-call.ts for the envelope):
 *
 *     {op: 'query', sql, params}         → rows
 *     {op: 'write', full, writes: [[{sql, params}, …], …]} → one outcome per write: null, or its failure
 *     {op: 'close'}                      → checkpoint, then close
 *
 * The writes of one request are one commit; each is a savepoint of it, so one that fails leaves the others.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { Migration } from './migrations.ts';
import type { Statement } from './sql-statement.ts';
import { describeFailure, type WorkerFailure } from './worker-call.ts';

type Request =
  | { readonly id: number; readonly op: 'open' | 'close' }
  | { readonly id: number; readonly op: 'query'; readonly sql: string; readonly params: readonly SQLInputValue[] }
  | { readonly id: number; readonly op: 'write'; readonly full: boolean; readonly writes: readonly (readonly Statement[])[] };

const { path: file, migrations } = workerData as { readonly path: string; readonly migrations: readonly Migration[] };
const newestVersion = migrations.at(-1)?.version ?? 0;
const preparedLimit = 200;
const prepared = new Map<string, StatementSync>();
let database: DatabaseSync | null = null;

parentPort?.on('message', (request: Request) => {
  try {
    parentPort?.postMessage({ id: request.id, ok: true, value: answer(request) });
  } catch (thrown) {
    parentPort?.postMessage({ id: request.id, ok: false, error: describeFailure(thrown) });
  }
});

function answer(request: Request): unknown {
  database ??= open(file);
  switch (request.op) {
    case 'open':
      return null;
    case 'query':
      return prepare(database, request.sql).all(...request.params);
    case 'write':
      return commit(database, request.full, request.writes);
    case 'close':
      prepared.clear();
      database.close();
      return null;
  }
}

function open(path: string): DatabaseSync {
  const opened = new DatabaseSync(path, { enableForeignKeyConstraints: true });
  try {
    // Another process on the same file is refused elsewhere (the data root's lock); waiting covers a daemon that is just leaving.
    opened.exec('PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY');
    migrate(opened);
    return opened;
  } catch (thrown) {
    opened.close();
    throw thrown;
  }
}

function migrate(opened: DatabaseSync): void {
  const version = Number(opened.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (version > newestVersion) {
    throw Object.assign(new Error(`schema ${version} is newer than ${newestVersion}, the newest this version knows`), {
      code: 'GANTRY_NEWER',
    });
  }
  for (const step of migrations) {
    if (step.version > version) opened.exec(`BEGIN IMMEDIATE; ${step.sql}; PRAGMA user_version = ${step.version}; COMMIT`);
  }
}

function commit(db: DatabaseSync, full: boolean, writes: readonly (readonly Statement[])[]): (WorkerFailure | null)[] {
  db.exec(`PRAGMA synchronous = ${full ? 'FULL' : 'NORMAL'}`);
  db.exec('BEGIN IMMEDIATE');
  try {
    const outcomes = writes.map((statements) => runInSavepoint(db, statements));
    db.exec('COMMIT');
    return outcomes;
  } catch (thrown) {
    // A full disk may already have ended the transaction.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw thrown;
  }
}

function runInSavepoint(db: DatabaseSync, statements: readonly Statement[]): WorkerFailure | null {
  db.exec('SAVEPOINT one');
  try {
    for (const { sql, params } of statements) prepare(db, sql).run(...(params as readonly SQLInputValue[]));
    db.exec('RELEASE one');
    return null;
  } catch (thrown) {
    if (!db.isTransaction) throw thrown;
    db.exec('ROLLBACK TO one; RELEASE one');
    return describeFailure(thrown);
  }
}

function prepare(db: DatabaseSync, sql: string): StatementSync {
  let statement = prepared.get(sql);
  if (!statement) {
    if (prepared.size >= preparedLimit) prepared.clear();
    statement = db.prepare(sql);
    prepared.set(sql, statement);
  }
  return statement;
}
