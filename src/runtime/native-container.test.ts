import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connectSocket, readFrame } from './monitor-connection.ts';
import { requestControl } from './native-container.ts';
import { encodeFrame, message, PayloadWriter } from './protocol.ts';

/** STATUS as versions of the monitor send it, up to what came with version 2. */
function statusOf(version: number): PayloadWriter {
  return new PayloadWriter()
    .u32(version)
    .u32(77) // pid
    .u64(1n) // start time
    .u64(1_000_000_000n) // started
    .u32(0) // ended
    .u32(0) // the exit: code, time, OOM, note
    .u64(0n)
    .u32(0)
    .text('')
    .u32(1) // the log: generation, size, lost
    .u64(5n)
    .u64(0n)
    .u32(0) // terminal
    .u32(0); // execs
}

async function controlOf(context: TestContext, status: Buffer): Promise<Awaited<ReturnType<typeof requestControl>>> {
  const directory = mkdtempSync(join(tmpdir(), 'g-monitor-'));
  const path = join(directory, 's');
  const server = createServer((socket: Socket) => {
    void readFrame(socket).then(({ request }) => socket.write(encodeFrame(message.status, request, status)));
  });
  await new Promise<void>((ready) => server.listen(path, ready));
  const socket = await connectSocket(path);
  context.after(() => {
    socket.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  });
  return await requestControl(socket);
}

test('requestControl: a monitor of version 2 tells what it keeps', async (context) => {
  const payload = statusOf(2)
    .u32(76)
    .descriptors([{ label: 'netns', fd: 9 }]);
  const status = await controlOf(context, payload.finish());
  assert.deepEqual([status.pid, status.logPosition.sizeBytes], [77, 5]);
  assert.deepEqual(status.kept, { pid: 76, descriptors: [{ label: 'netns', fd: 9 }] });
});

test('requestControl: a monitor of version 1 is adopted, and keeps nothing', async (context) => {
  const status = await controlOf(context, statusOf(1).finish());
  assert.deepEqual([status.pid, status.kept], [77, { pid: 0, descriptors: [] }]);
});
