import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { decompress, detectCompression } from './compression.ts';

async function plain(source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, zstdWindowLog = 27): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompress(source, { zstdWindowLog })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function* inPieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const text = Buffer.from('some text, '.repeat(50_000));
const skippable = Buffer.concat([Buffer.from([0x52, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Buffer.from('meta')]);

test('detectCompression: by magic', () => {
  assert.equal(detectCompression(gzipSync('x')), 'gzip');
  assert.equal(detectCompression(zstdCompressSync('x')), 'zstd');
  assert.equal(detectCompression(skippable), 'zstd');
  assert.equal(detectCompression(Buffer.from('BZh91AY')), 'bzip2');
  assert.equal(detectCompression(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])), 'xz');
  assert.equal(detectCompression(Buffer.from('hello')), 'none');
  assert.equal(detectCompression(new Uint8Array(0)), 'none');
});

const half = text.length / 2;
const whole: Readonly<Record<string, Uint8Array>> = {
  plain: text,
  gzip: gzipSync(text),
  'gzip of two members': Buffer.concat([gzipSync(text.subarray(0, half)), gzipSync(text.subarray(half))]),
  zstd: zstdCompressSync(text),
  'zstd of several frames': Buffer.concat([
    skippable,
    zstdCompressSync(text.subarray(0, half)),
    skippable,
    zstdCompressSync(text.subarray(half)),
    skippable,
  ]),
};

for (const [name, bytes] of Object.entries(whole)) {
  test(`decompress: ${name}, in pieces of every size`, async () => {
    for (const size of [1000, 3, bytes.length]) {
      if (size === 3 && bytes === text) continue;
      assert.ok(text.equals(await plain(inPieces(bytes, size))));
    }
  });
}

test('decompress: an empty stream is empty', async () => {
  assert.equal((await plain([])).length, 0);
});

test('decompress: damage, truncation and trailing garbage are invalid', async () => {
  const flipped = gzipSync(text);
  flipped[flipped.length - 5] = 255 - (flipped[flipped.length - 5] ?? 0);
  await assert.rejects(plain([flipped]), { code: 'invalid', message: /gzip stream is damaged/ });
  await assert.rejects(plain([gzipSync(text).subarray(0, 500)]), { code: 'invalid', message: /gzip stream is damaged/ });
  await assert.rejects(plain([zstdCompressSync(text).subarray(0, 20)]), { code: 'invalid', message: /zstd stream is damaged/ });
});

test('decompress: a zstd window over the limit names the limit', async () => {
  const large = Buffer.alloc(4 * 1024 * 1024, 'x');
  const bytes = zstdCompressSync(large, { params: { [constants.ZSTD_c_windowLog]: 22, [constants.ZSTD_c_contentSizeFlag]: 0 } });
  await assert.rejects(plain(inPieces(bytes, 10_000), 20), { code: 'invalid', message: /larger window than the limit/ });
});

test('decompress: an error of the source passes as it is, and the source is closed when the reader leaves', async () => {
  let closed = 0;
  async function* source(fail: boolean) {
    try {
      const bytes = gzipSync(text);
      yield bytes.subarray(0, 1000);
      if (fail) throw new Error('disk gone');
      yield bytes.subarray(1000);
    } finally {
      closed++;
    }
  }
  await assert.rejects(plain(source(true)), { message: 'disk gone' });
  for await (const _ of decompress(source(false))) break;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(closed, 2);
});
