import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { copyOutput } from './step-output.ts';

function frame(stream: number, text: string): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test('copyOutput: frames cut anywhere come out as their streams', async () => {
  const bytes = Buffer.concat([frame(1, 'out'), frame(2, 'error'), frame(1, ''), frame(1, 'ö')]);
  for (let size = 1; size < 12; size++) {
    const seen = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
    await copyOutput(Readable.from(pieces), (stream, piece) => {
      seen[stream] = Buffer.concat([seen[stream], piece]);
    });
    assert.deepEqual([seen.stdout.toString(), seen.stderr.toString()], ['outö', 'error'], `pieces of ${size}`);
  }
});

test('copyOutput: a stream that breaks ends it', async () => {
  const seen: string[] = [];
  const broken = Readable.from(
    (async function* () {
      yield frame(1, 'before');
      throw new Error('cut off');
    })(),
  );
  await copyOutput(broken, (_, bytes) => seen.push(Buffer.from(bytes).toString()));
  assert.deepEqual(seen, ['before']);
});
