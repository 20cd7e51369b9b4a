import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  attachFlag,
  decodeFrameHeader,
  detail,
  encodeFrame,
  exitLockHeld,
  frameHeaderBytes,
  maxAttachments,
  maxFrameBytes,
  message,
  PayloadReader,
  PayloadWriter,
  phase,
  protocolVersion,
  setup,
  stdinMode,
} from './protocol.ts';

const header = readFileSync(new URL('../../native/protocol.h', import.meta.url), 'utf8');
const defined = new Map([...header.matchAll(/^#define (\w+) (\d+)/gm)].map(([, name = '', value]) => [name, Number(value)]));

/** `#define PREFIX_SOME_NAME n` as { someName: n }. */
function group(prefix: string): Record<string, number> {
  const named = [...defined].filter(([name]) => name.startsWith(prefix));
  const camel = (name: string) => name.toLowerCase().replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(named.map(([name, value]) => [camel(name.slice(prefix.length)), value]));
}

describe('protocol', () => {
  it('has the constants of native/protocol.h', () => {
    assert.deepEqual({ ...message }, group('MSG_'));
    assert.deepEqual({ ...attachFlag }, group('ATTACH_'));
    assert.deepEqual({ ...stdinMode }, group('STDIN_'));
    assert.deepEqual({ ...phase }, group('PHASE_'));
    assert.deepEqual({ ...setup }, group('SETUP_'));
    assert.deepEqual({ ...detail }, group('DETAIL_'));
    const single = { PROTOCOL_VERSION: protocolVersion, FRAME_HEADER: frameHeaderBytes, MAX_FRAME: maxFrameBytes };
    for (const [name, value] of Object.entries({ ...single, MAX_ATTACHMENTS: maxAttachments, EXIT_LOCK_HELD: exitLockHeld })) {
      assert.equal(defined.get(name), value, name);
    }
  });

  it('annotated bytes of a KILL frame', () => {
    const frame = encodeFrame(message.kill, 7, new PayloadWriter().u32(9).u32(1).finish());
    const expected = [
      '08000000', // length of the payload
      '1600', // type 22
      '0000', // zero
      '07000000', // request
      '09000000', // signal
      '01000000', // all
    ];
    assert.equal(frame.toString('hex'), expected.join(''));
  });

  it('what is written is read back, for any values', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
    const values = fc.tuple(fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), text);
    fc.assert(
      fc.property(values, ([small, large, name]) => {
        const reader = new PayloadReader(new PayloadWriter().u32(small).u64(large).text(name).finish());
        assert.deepEqual([reader.u32(), reader.u64(), reader.text()], [small, large, name]);
      }),
    );
  });

  it('a payload shorter than its fields and a header that is none are errors', () => {
    assert.throws(() => new PayloadReader(Buffer.from('ffffffff', 'hex')).text(), /shorter/);
    assert.throws(() => decodeFrameHeader(Buffer.from('01004000' + '0100' + '0000' + '00000000', 'hex')), /not a frame/);
    assert.throws(() => decodeFrameHeader(Buffer.from('01000000' + '0100' + '0100' + '00000000', 'hex')), /not a frame/);
  });
});
