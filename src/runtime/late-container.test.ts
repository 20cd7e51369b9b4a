import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { type Adoption, LateContainer, silentMonitor } from './late-container.ts';
import type { ExitStatus, LogPosition, RunningContainer } from './runtime.ts';

const id = 'c'.repeat(64) as ContainerId;
const exit: ExitStatus = { code: 7, at: new Date(), oomKilled: false, note: null };
const kept = { pid: 41, descriptors: [{ label: 'net', fd: 5 }] };

function late() {
  const adoption = Promise.withResolvers<Adoption>();
  let forgotten = 0;
  const facts = { id, pid: 42, startedAt: new Date(5), monitorPid: 41, kept, forget: async () => void forgotten++ };
  return { adoption, container: new LateContainer(facts, adoption.promise), forgotten: () => forgotten };
}

function found() {
  const ended = Promise.withResolvers<ExitStatus | 'lost'>();
  const calls: string[] = [];
  let tell: (position: LogPosition) => void = () => {};
  const container = {
    id,
    pid: 43,
    exited: ended.promise,
    logPosition: { generation: 2, sizeBytes: 9 },
    kept: { pid: 41, descriptors: [] },
    adoptedExecs: ['exec'],
    onLog: (listener: typeof tell) => {
      tell = listener;
      return () => {};
    },
    kill: async (signal: number) => void calls.push(`kill ${signal}`),
    release: async () => void calls.push('release'),
  };
  return { container: container as unknown as RunningContainer, ended, calls, tell: (position: LogPosition) => tell(position) };
}

test('LateContainer: what is known before the monitor answers, and everything after it did', async () => {
  const { adoption, container } = late();
  const positions: number[] = [];
  container.onLog(({ sizeBytes }) => positions.push(sizeBytes));
  assert.deepEqual([container.pid, container.kept, container.adoptedExecs, container.startedAt], [42, kept, [], new Date(5)]);
  const { answered } = container;
  assert.ok(answered);
  const killing = container.kill(15, 'init');
  const real = found();
  adoption.resolve(real.container);
  await Promise.all([killing, answered]);
  assert.equal(container.answered, null);
  assert.deepEqual([container.pid, container.adoptedExecs], [43, ['exec']]);
  real.tell({ generation: 2, sizeBytes: 12 });
  assert.deepEqual(positions, [9, 12]);
  real.ended.resolve(exit);
  assert.equal(await container.exited, exit);
  await container.release();
  assert.deepEqual(real.calls, ['kill 15', 'release']);
});

test('LateContainer: one that ended is told, refuses requests, and is forgotten', async () => {
  const { adoption, container, forgotten } = late();
  adoption.resolve(exit);
  assert.equal(await container.exited, exit);
  await assert.rejects(container.kill(9, 'all'), { code: 'conflict', message: `container ${id} is not running` });
  await container.release();
  assert.equal(forgotten(), 1);
});

test('LateContainer: an adoption that fails is lost', async () => {
  const { adoption, container } = late();
  adoption.reject(new Error('gone'));
  assert.equal(await container.exited, 'lost');
});

test('silentMonitor: names the process and what to do', () => {
  const { message } = silentMonitor(id, 41);
  assert.match(message, /^the monitor \(process 41\) of container c{64} does not answer: .*kill -CONT 41.*kill -KILL 41/);
  assert.match(silentMonitor(id, 0).message, /^the monitor of container/);
});
