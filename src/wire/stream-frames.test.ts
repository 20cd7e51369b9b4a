import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameDecoder, type StreamNumber, streamContentType } from './stream-frames.ts';

describe('frames', () => {
  it('have this header', () => {
    assert.equal(
      encodeFrame(2, Buffer.from('hi')).toString('hex'),
      '02' + // stderr
        '000000' +
        '00000002' + // length, big endian
        '6869',
    );
  });

  it('are put together however they were cut', () => {
    const frame = fc.tuple(fc.constantFrom<StreamNumber>(1, 2, 3), fc.uint8Array({ maxLength: 50 }));
    fc.assert(
      fc.property(fc.array(frame), fc.infiniteStream(fc.integer({ min: 1, max: 20 })), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(([stream, payload]) => encodeFrame(stream, payload)));
        const got: Record<number, string> = { 1: '', 2: '', 3: '' };
        const decoder = new FrameDecoder((stream, payload) => {
          got[stream] += payload.toString('hex');
        });
        for (let at = 0; at < bytes.length; ) {
          const length = cuts.next().value;
          decoder.push(bytes.subarray(at, at + length));
          at += length;
        }
        assert.ok(decoder.atBoundary);
        for (const stream of [1, 2, 3]) {
          const sent = frames.filter(([number]) => number === stream).map(([, payload]) => Buffer.from(payload).toString('hex'));
          assert.equal(got[stream], sent.join(''));
        }
      }),
    );
  });

  it('refuse rubbish', () => {
    const decoder = new FrameDecoder(() => assert.fail('no payload'));
    assert.throws(() => decoder.push(Buffer.from('rubbish!')), /not in Docker's multiplexed format/);
  });
});

it('streamContentType tells the framing since 1.42', () => {
  assert.equal(streamContentType(41, false), 'application/vnd.docker.raw-stream');
  assert.equal(streamContentType(42, false), 'application/vnd.docker.multiplexed-stream');
  assert.equal(streamContentType(42, true), 'application/vnd.docker.raw-stream');
});
