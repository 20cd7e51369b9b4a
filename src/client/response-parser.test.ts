import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import { type ResponseHead, ResponseParser } from './response-parser.ts';

interface Parsed {
  heads: ResponseHead[];
  body: string;
  ended: boolean;
  raw: string;
}

function parse(
  pieces: readonly Buffer[],
  { method = 'GET', upgrade = false, eof = false } = {},
): Parsed & { keepAlive: boolean; state: string } {
  const parsed: Parsed = { heads: [], body: '', ended: false, raw: '' };
  const parser = new ResponseParser(
    { requestMethod: method, expectUpgrade: upgrade },
    {
      head: (head) => parsed.heads.push(head),
      data: (chunk) => {
        parsed.body += chunk.toString('latin1');
      },
      end: () => {
        parsed.ended = true;
      },
      upgrade: (rest) => {
        parsed.raw += rest.toString('latin1');
      },
    },
  );
  for (const piece of pieces) parser.feed(piece);
  if (eof) parser.finish();
  return { ...parsed, keepAlive: parser.keepAlive, state: parser.state };
}

/** Cuts bytes at the given places. */
function cut(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, at) => bytes.subarray(at === 0 ? 0 : ends[at - 1], end));
}

const anyCuts = fc.array(fc.nat(10_000), { maxLength: 12 });

describe('ResponseParser', () => {
  it('reads a counted body however it is cut', () => {
    fc.assert(
      fc.property(anyCuts, (places) => {
        const result = parse(cut('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello', places));
        assert.equal(result.body, 'hello');
        assert.equal(result.ended, true);
        assert.equal(result.heads[0]?.headers.get('x-a'), '1, 2');
      }),
    );
  });

  it('reads chunks, their extensions and trailers however they are cut', () => {
    fc.assert(
      fc.property(anyCuts, (places) => {
        const result = parse(
          cut('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n', places),
        );
        assert.deepEqual([result.body, result.ended, result.state], ['hello!', true, 'done']);
      }),
    );
  });

  it('passes over interim answers, and hands the rest of an upgraded connection over', () => {
    fc.assert(
      fc.property(anyCuts, (places) => {
        const result = parse(cut('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nraw bytes', places), {
          upgrade: true,
        });
        assert.deepEqual([result.heads[0]?.status, result.raw, result.ended], [101, 'raw bytes', false]);
      }),
    );
  });

  it('takes a 200 without length for a raw stream only when one was asked for', () => {
    const text = 'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nbytes';
    assert.equal(parse([Buffer.from(text)], { upgrade: true }).raw, 'bytes');
    const result = parse([Buffer.from(text)], { eof: true });
    assert.deepEqual([result.body, result.ended, result.keepAlive], ['bytes', true, false]);
  });

  it('expects no body after HEAD, 204 and 304', () => {
    for (const [status, method] of [
      [200, 'HEAD'],
      [204, 'POST'],
      [304, 'POST'],
    ] as const) {
      const result = parse([Buffer.from(`HTTP/1.1 ${status} X\r\nContent-Length: 7\r\n\r\n`)], { method });
      assert.deepEqual([result.ended, result.state], [true, 'done']);
    }
  });

  it('says that an answer was cut off', () => {
    assert.throws(
      () => parse([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel')], { eof: true }),
      /before its answer was complete/,
    );
  });

  it('answers any garbage with an error of ours, never another', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), anyCuts, (bytes, places) => {
        try {
          parse(cut(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${Buffer.from(bytes).toString('latin1')}`, places), {
            eof: true,
          });
        } catch (error) {
          assert.ok(error instanceof EngineError);
        }
      }),
    );
  });
});
