import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HealthOutput } from './health-output.ts';

function frame(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test('HealthOutput: frames of both streams, however they are cut', () => {
  const bytes = Buffer.concat([frame(1, 'out\n'), frame(2, ''), frame(2, 'err\n'), frame(1, 'more')]);
  for (let size = 1; size <= bytes.length; size++) {
    const output = new HealthOutput();
    for (let at = 0; at < bytes.length; at += size) output.take(bytes.subarray(at, at + size));
    assert.equal(output.text(), 'out\nerr\nmore');
  }
});

test('HealthOutput: 4096 bytes, then an ellipsis', () => {
  const output = new HealthOutput();
  output.take(frame(1, 'x'.repeat(4000)));
  output.take(frame(2, 'y'.repeat(96)));
  assert.equal(output.text().length, 4096);
  output.take(frame(1, 'z'));
  assert.equal(output.text(), `${'x'.repeat(4000)}${'y'.repeat(96)}...`);
});
