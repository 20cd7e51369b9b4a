import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { openDatabase } from '../../store/database.ts';
import type { CacheMountRequest } from './build-cache.ts';
import { StoredCacheMounts } from './cache-mounts.ts';

const signal = new AbortController().signal;
const isRoot = process.getuid?.() === 0;

function mount(id: string, given: Partial<CacheMountRequest> = {}): CacheMountRequest {
  const own = isRoot ? { uid: 0, gid: 0 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return { id, sharing: 'shared', fill: null, origin: '', mode: 0o755, ...own, ...given };
}

async function bench(context: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-mounts-'));
  const root = join(directory, 'mounts');
  const closing: (() => Promise<void>)[] = [];
  context.after(async () => {
    for (const close of closing) await close();
    await rm(directory, { recursive: true });
  });
  const open = async () => {
    const database = await openDatabase(join(directory, 'db'));
    const workerEntry = new URL('./cache-mount-worker.ts', import.meta.url);
    const mounts = await StoredCacheMounts.open({ root, database, log: silentLogger, workerEntry, released() {} });
    let isOpen = true;
    const close = async () => {
      if (!isOpen) return;
      isOpen = false;
      await mounts.close();
      await database.close();
    };
    closing.push(close);
    return { mounts, close };
  };
  return { ...(await open()), open, root };
}

test('SEC-19 cache mounts: no id is a path; equal ids are one mount, other origins are others', async (context) => {
  const { mounts, root } = await bench(context);
  for (const id of ['../../etc', '/', '..', 'a\0b', '', '/root/.cache']) {
    const { directory, release } = await mounts.acquire(mount(id), signal);
    assert.match(directory.slice(root.length), /^\/[0-9a-f]{64}\/0$/);
    assert.equal((await mounts.acquire(mount(id), signal)).directory, directory);
    assert.notEqual((await mounts.acquire(mount(id, { origin: 'tree 1' }), signal)).directory, directory);
    await release();
  }
});

test('cache mounts: shared ones are one directory, private ones their own while it is busy', async (context) => {
  const { mounts } = await bench(context);
  const [a, b] = await Promise.all([mounts.acquire(mount('m'), signal), mounts.acquire(mount('m'), signal)]);
  assert.equal(a.directory, b.directory);
  const [c, d] = await Promise.all([1, 2].map(() => mounts.acquire(mount('m', { sharing: 'private' }), signal)));
  assert.equal(new Set([a.directory, c?.directory, d?.directory]).size, 3);
  for (const held of [a, b, c, d]) await held?.release();
  assert.equal((await mounts.acquire(mount('m', { sharing: 'private' }), signal)).directory, a.directory);
  assert.equal(mounts.instances().length, 3);
});

test('cache mounts: locked waits its turn, and can be cancelled while it does', async (context) => {
  const { mounts } = await bench(context);
  const locked = mount('m', { sharing: 'locked' });
  const first = await mounts.acquire(locked, signal);
  const order: string[] = [];
  const second = mounts.acquire(locked, signal).then((held) => {
    order.push('second');
    return held;
  });
  const cancel = new AbortController();
  const third = mounts.acquire(locked, cancel.signal);
  cancel.abort(new Error('cancelled'));
  await assert.rejects(third, /cancelled/);
  order.push('released');
  await first.release();
  await first.release();
  assert.equal((await second).directory, first.directory);
  assert.deepEqual(order, ['released', 'second']);
  assert.equal(mounts.instances().length, 1);
});

test('cache mounts: mode and what it starts with count when it is made, and only then', async (context) => {
  const { mounts } = await bench(context);
  let fills = 0;
  const fill = async (directory: string) => {
    fills++;
    await writeFile(join(directory, 'seed'), 'x');
  };
  const held = await mounts.acquire(mount('m', { mode: 0o1777, fill }), signal);
  assert.equal(lstatSync(held.directory).mode & 0o7777, 0o1777);
  assert.ok(existsSync(join(held.directory, 'seed')));
  await held.release();
  await mounts.acquire(mount('m', { mode: 0o700, fill }), signal);
  assert.equal(lstatSync(held.directory).mode & 0o7777, 0o1777);
  assert.equal(fills, 1);
});

test('cache mounts: a fill that fails leaves nothing, and who waited for it makes their own', async (context) => {
  const { mounts, root } = await bench(context);
  const { promise: may, resolve: go } = Promise.withResolvers<void>();
  const failing = mounts.acquire(
    mount('m', {
      fill: async (directory) => {
        await writeFile(join(directory, 'half'), 'x');
        await may;
        throw new Error('no such file in the source');
      },
    }),
    signal,
  );
  const waiting = mounts.acquire(mount('m', { fill: (directory) => writeFile(join(directory, 'whole'), 'x') }), signal);
  go();
  await assert.rejects(failing, /no such file/);
  assert.deepEqual(readdirSync((await waiting).directory), ['whole']);
  assert.deepEqual(readdirSync(join(root, 'new')), []);
  assert.deepEqual(readdirSync(join(root, 'gone')), []);
});

test('cache mounts: they survive the daemon; what it did not finish, and what nobody knows, does not', async (context) => {
  const { mounts, close, open, root } = await bench(context);
  const held = await mounts.acquire(mount('m'), signal);
  await writeFile(join(held.directory, 'kept'), 'x'.repeat(10));
  await close();
  await mkdir(join(root, 'new', '1-2-3', 'half'), { recursive: true });
  await mkdir(join(root, 'f'.repeat(64), '0', 'deep'), { recursive: true });
  await rm(join(root, 'gone'), { recursive: true });
  const next = await open();
  const again = await next.mounts.acquire(mount('m'), signal);
  assert.deepEqual(readdirSync(again.directory), ['kept']);
  await again.release();
  const [instance] = next.mounts.instances();
  assert.equal(instance && (await next.mounts.sizeOf(instance)), 10);
  assert.equal(instance?.useCount, 2);
  // The thread has one job at a time: behind the size comes nothing.
  assert.deepEqual(readdirSync(root).sort(), [instance?.name.split('/')[0], 'gone', 'new'].sort());
  assert.deepEqual([readdirSync(join(root, 'new')), readdirSync(join(root, 'gone'))], [[], []]);
});

test('cache mounts: held ones are not removed', async (context) => {
  const { mounts, root } = await bench(context);
  const held = await mounts.acquire(mount('m'), signal);
  assert.deepEqual(await mounts.remove(mounts.instances()), []);
  await held.release();
  assert.equal((await mounts.remove(mounts.instances())).length, 1);
  assert.deepEqual(readdirSync(root).sort(), ['gone', 'new']);
});
