/** Waiting for health and ports over the fake runtime. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isListening } from './listening-ports.ts';
import { serviceFixture } from './testing/service-fixture.ts';

const never = new AbortController().signal;
const healthy = { kind: 'healthy' } as const;
const check = (retries = 3) => ({ Healthcheck: { Test: ['CMD', 'check'], Interval: 5_000_000, Retries: retries } });

test('isListening: addresses of both families, and only sockets that wait for peers', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue',
    '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000',
    '   1: 0100007F:0050 0100007F:C3D2 01 00000000:00000000',
    '   2: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0',
  ].join('\n');
  assert.deepEqual(
    [8080, 80, 443].map((port) => isListening(table, port, 'tcp')),
    [true, false, true],
  );
  assert.equal(isListening(table, 8080, 'udp'), false);
});

test('waitUntilReady: healthy as soon as a check succeeds; unhealthy and an end are errors', async (context) => {
  const { service, runtime, create, database } = await serviceFixture(context);
  const id = await create(check(1), {}, 'web');
  assert.deepEqual(await service.waitUntilReady(id, healthy, never), { statusCode: 1, error: 'container web is not running' });
  await service.start(id);
  const waiting = service.waitUntilReady(id, healthy, never);
  const answer = async (exitCode: number) => {
    for (;;) {
      const probe = runtime.process(id).execs.find(({ code }) => code === null);
      if (probe !== undefined) return probe.exit(exitCode);
      await sleep(2);
    }
  };
  await answer(0);
  assert.deepEqual(await waiting, { statusCode: 0, error: null });
  assert.deepEqual(await service.waitUntilReady(id, healthy, never), { statusCode: 0, error: null });
  await answer(1);
  while ((await service.inspect(id)).state.health?.status !== 'unhealthy') await sleep(2);
  assert.equal((await service.waitUntilReady(id, healthy, never)).error, 'container web is unhealthy');
  await service.stop(id, { signal: null, timeoutSeconds: null });
  await service.start(id);
  const asked: Promise<unknown>[] = [service.waitUntilReady(id, healthy, never)];
  database.refuse = (_sql, params) => {
    // While the end is being stored.
    if (params.includes('"exited"')) asked.push(service.waitUntilReady(id, healthy, never));
    return null;
  };
  runtime.process(id).exit(3);
  for (const ends of asked) assert.deepEqual(await ends, { statusCode: 3, error: 'container web exited (3) before it was healthy' });
  assert.equal(asked.length, 2);
});

test('waitUntilReady: a container without a check, and a client that leaves', async (context) => {
  const { service, create } = await serviceFixture(context);
  const plain = await create({}, {}, 'plain');
  await service.start(plain);
  await assert.rejects(service.waitUntilReady(plain, healthy, never), { code: 'invalid', message: /plain has no health check/ });
  const checked = await create({ Healthcheck: { Test: ['CMD', 'check'] } });
  await service.start(checked);
  const leaving = new AbortController();
  const left = service.waitUntilReady(checked, healthy, leaving.signal);
  leaving.abort();
  await assert.rejects(left, { name: 'AbortError' });
});

test('waitUntilReady: a port, once somebody listens on it', async (context) => {
  const { service, create } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  // The fake's processes are this one.
  const server = createServer();
  const free = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  await new Promise((closed) => server.close(closed));
  const waiting = service.waitUntilReady(id, { kind: 'listening', port: free, protocol: 'tcp' }, never);
  await sleep(150);
  const again = createServer().listen(free, '127.0.0.1');
  context.after(() => again.close());
  assert.deepEqual(await waiting, { statusCode: 0, error: null });
});
