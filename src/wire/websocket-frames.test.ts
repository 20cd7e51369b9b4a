import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeWebsocketClose, encodeWebsocketFrame, WebsocketDecoder, websocketAccept } from './websocket-frames.ts';

/** A frame as clients send it: masked. */
function masked(first: number, payload: Uint8Array, mask = [1, 2, 3, 4]): Buffer {
  const plain = encodeWebsocketFrame(0, payload);
  const head = Buffer.from(plain.subarray(0, plain.length - payload.length));
  head[0] = first;
  head[1] = (head[1] ?? 0) | 0x80;
  return Buffer.concat([head, Buffer.from(mask), payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))]);
}

function decode(chunks: readonly Buffer[]) {
  const data: Buffer[] = [];
  const controls: string[] = [];
  const decoder = new WebsocketDecoder({
    onData: (payload) => data.push(payload),
    onControl: (opcode, payload) => controls.push(`${opcode}:${payload.toString('hex')}`),
  });
  for (const chunk of chunks) decoder.push(chunk);
  return { data: Buffer.concat(data).toString('latin1'), controls };
}

describe('websocketAccept', () => {
  it("is the RFC's", () => assert.equal(websocketAccept('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='));
});

describe('encodeWebsocketFrame', () => {
  const head = (bytes: number) =>
    encodeWebsocketFrame(2, Buffer.alloc(bytes))
      .subarray(0, -bytes || 10)
      .toString('hex');
  it('chooses the shortest length', () => {
    assert.equal(head(0), '8200'); // FIN binary, no mask, 0 bytes
    assert.equal(head(125), '827d'); // 125 bytes
    assert.equal(head(126), '827e007e'); // be16
    assert.equal(head(65_535), '827effff');
    assert.equal(head(65_536), '827f0000000000010000'); // be64
  });
  it('a close carries its code', () => assert.equal(encodeWebsocketClose(1000).toString('hex'), '880203e8'));
});

describe('WebsocketDecoder', () => {
  it('reads whole, parted and interleaved messages', () => {
    const stream = [
      masked(0x82, Buffer.from('one')),
      masked(0x01, Buffer.from('tw')), // text, goes on
      masked(0x89, Buffer.from('hi')), // ping between the parts
      masked(0x80, Buffer.from('o')), // the rest of it
      masked(0x88, Buffer.from([3, 232])),
    ];
    assert.deepEqual(decode(stream), { data: 'onetwo', controls: ['9:6869', '8:03e8'] });
  });

  it('gives the same however the bytes arrive, whatever the lengths', () => {
    const message = fc.uint8Array({ maxLength: 70_000, size: 'large' });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), fc.integer({ min: 1, max: 5000 }), (messages, step) => {
        const bytes = Buffer.concat(messages.map((payload) => masked(0x82, payload)));
        const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) => bytes.subarray(at * step, (at + 1) * step));
        assert.equal(decode(chunks).data, Buffer.concat(messages).toString('latin1'));
      }),
      { numRuns: 30 },
    );
  });

  const broken: readonly (readonly [string, Buffer])[] = [
    ['no mask', encodeWebsocketFrame(2, Buffer.from('x'))],
    ['reserved bits', masked(0xc2, Buffer.from('x'))],
    ['an unknown opcode', masked(0x83, Buffer.from('x'))],
    ['an unknown control opcode', masked(0x8b, Buffer.alloc(0))],
    ['a continuation of nothing', masked(0x80, Buffer.from('x'))],
    ['a message inside another', Buffer.concat([masked(0x02, Buffer.from('x')), masked(0x82, Buffer.from('x'))])],
    ['a ping in parts', masked(0x09, Buffer.from('x'))],
    ['a long ping', masked(0x89, Buffer.alloc(126))],
    ['a negative length', Buffer.from([0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])],
  ];
  for (const [name, bytes] of broken) it(`refuses ${name}`, () => assert.throws(() => decode([bytes]), /breaks the WebSocket protocol/));

  it('collects nothing of a message that never ends', () => {
    const head = Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert.equal(decode([head, Buffer.from('as it comes')]).data, 'as it comes');
  });
});
