import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from '../plan/operation.ts';
import { Identities } from './operation-identity.ts';
import { type OperationWorker, type SolveEvent, Solver } from './solver.ts';

const place = { startLine: 1, endLine: 1 };
const scratch: Operation = { kind: 'scratch' };

function directory(path: string, parent: Operation = scratch): Operation {
  return { kind: 'directory', step: { title: path, place }, parent, epoch: 0, path, owner: '' };
}

function join(...from: readonly Operation[]): Operation {
  const sources = from.map((operation) => ({ kind: 'path' as const, from: operation, pattern: '/', unpack: false }));
  const step = { title: 'join', place };
  return {
    kind: 'copy',
    step,
    parent: scratch,
    epoch: 0,
    sources,
    destination: '/',
    owner: null,
    mode: null,
    excludes: [],
    parents: false,
    link: false,
  };
}

/** Executes by hand: each operation waits until it is let go. */
class HandWorker implements OperationWorker<string> {
  readonly started: string[] = [];
  readonly cancelled: string[] = [];
  readonly cached = new Set<string>();
  readonly #gates = new Map<string, PromiseWithResolvers<string>>();

  async recall(operation: Operation): Promise<string | null> {
    if (operation.kind === 'scratch') return 'scratch';
    return this.cached.has(nameOf(operation)) ? nameOf(operation) : null;
  }

  async execute(operation: Operation, _: unknown, __: unknown, signal: AbortSignal): Promise<string> {
    const name = nameOf(operation);
    this.started.push(name);
    const gate = this.gate(name);
    signal.addEventListener('abort', () => {
      this.cancelled.push(name);
      gate.reject(signal.reason);
    });
    return await gate.promise;
  }

  gate(name: string): PromiseWithResolvers<string> {
    const known = this.#gates.get(name) ?? Promise.withResolvers<string>();
    this.#gates.set(name, known);
    return known;
  }

  async untilStarted(...names: readonly string[]): Promise<void> {
    while (!names.every((name) => this.started.includes(name))) await new Promise((resolve) => setImmediate(resolve));
  }
}

function nameOf(operation: Operation): string {
  return 'step' in operation ? operation.step.title : operation.kind;
}

function identities(): Identities {
  return new Identities((name) => name);
}

const never = () => new AbortController().signal;

test('Solver runs independent operations side by side, up to its limit, and inputs first', async () => {
  const worker = new HandWorker();
  const solver = new Solver(worker, 2);
  const solving = solver.solve(join(directory('a'), directory('b'), directory('c')), identities(), () => {}, never());
  await worker.untilStarted('a', 'b');
  assert.deepEqual(worker.started, ['a', 'b']);
  worker.gate('a').resolve('A');
  await worker.untilStarted('c');
  assert.ok(!worker.started.includes('join'));
  worker.gate('b').resolve('B');
  worker.gate('c').resolve('C');
  await worker.untilStarted('join');
  worker.gate('join').resolve('all');
  assert.equal(await solving, 'all');
});

test('Solver runs equal operations of two builds once, and both hear of it', async () => {
  const worker = new HandWorker();
  const solver = new Solver(worker, 4);
  const heard: SolveEvent['kind'][][] = [[], []];
  const builds = heard.map((events) => solver.solve(directory('a'), identities(), ({ kind }) => events.push(kind), never()));
  await worker.untilStarted('a');
  worker.gate('a').resolve('A');
  assert.deepEqual(await Promise.all(builds), ['A', 'A']);
  assert.deepEqual(worker.started, ['a']);
  assert.deepEqual(
    heard.map((kinds) => kinds.filter((kind) => kind !== 'output').slice(-2)),
    [
      ['started', 'done'],
      ['started', 'done'],
    ],
  );
});

test('Solver cancels what nobody wants any more, and not what another build waits for', async () => {
  const worker = new HandWorker();
  const solver = new Solver(worker, 4);
  const first = new AbortController();
  const second = new AbortController();
  const builds = [first, second].map(({ signal }) => solver.solve(directory('a'), identities(), () => {}, signal));
  const outcomes = builds.map((build) =>
    build.then(
      (value) => value,
      (reason: unknown) => String(reason),
    ),
  );
  await worker.untilStarted('a');
  first.abort('first left');
  assert.equal(await outcomes[0], 'first left');
  assert.deepEqual(worker.cancelled, []);
  second.abort('second left');
  assert.equal(await outcomes[1], 'second left');
  assert.deepEqual(worker.cancelled, ['a']);
});

test('Solver: a failure ends the build, cancels what runs beside it, and is not remembered', async () => {
  const worker = new HandWorker();
  const solver = new Solver(worker, 4);
  const solving = solver.solve(join(directory('a'), directory('b')), identities(), () => {}, never());
  const outcome = solving.then(
    () => '',
    (reason: Error) => reason.message,
  );
  await worker.untilStarted('a', 'b');
  worker.gate('a').reject(new Error('no space'));
  assert.equal(await outcome, 'no space');
  assert.deepEqual(worker.cancelled, ['b']);
  const again = new HandWorker();
  again.gate('a').resolve('A');
  assert.equal(await new Solver(again, 1).solve(directory('a'), identities(), () => {}, never()), 'A');
});

test('Solver does not execute what the cache has', async () => {
  const worker = new HandWorker();
  worker.cached.add('a');
  const events: string[] = [];
  const listener = (event: SolveEvent) =>
    events.push(`${nameOf(event.operation)} ${event.kind}${event.kind === 'done' && event.cached ? ' cached' : ''}`);
  assert.equal(await new Solver(worker, 1).solve(directory('a'), identities(), listener, never()), 'a');
  assert.deepEqual([worker.started, events], [[], ['scratch done cached', 'a done cached']]);
});

test('Identities: titles and places do not count, what is done and to what does', () => {
  const ids = identities();
  const moved: Operation = { ...directory('/a'), step: { title: 'another', place: { startLine: 9, endLine: 9 } } } as Operation;
  assert.equal(ids.of(directory('/a')), ids.of(moved));
  assert.notEqual(ids.of(directory('/a')), ids.of(directory('/b')));
  assert.notEqual(ids.of(directory('/a')), ids.of(directory('/a', directory('/b'))));
  assert.notEqual(
    new Identities(() => 'one').of({ kind: 'context', name: '' }),
    new Identities(() => 'two').of({ kind: 'context', name: '' }),
  );
});
