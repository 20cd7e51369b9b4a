import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileContentsDecoder, MAXIMUM_PIECE_BYTES, pieceHeader } from './file-contents.ts';
import { encodeFileList, FileListDecoder, type ListedFile } from './file-list.ts';

function decoded(bytes: Buffer, size: number): readonly string[] {
  const files = new Map<number, string>();
  const ended: number[] = [];
  const decoder = new FileContentsDecoder({
    piece(file, part, isLast) {
      files.set(file, (files.get(file) ?? '') + part.toString('latin1'));
      if (isLast) ended.push(file);
    },
  });
  for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
  decoder.end();
  return ended.map((file) => `${file}:${files.get(file)}`);
}

test('contents are what the drawing says, in whatever pieces they come', () => {
  const parts: readonly (readonly [number, string, boolean])[] = [
    [0, 'abc', true],
    [3, '', true],
    [7, 'first ', false],
    [9, 'between', true],
    [7, 'second', false],
    [7, '', true],
  ];
  const bytes = Buffer.concat(parts.flatMap(([file, text, isLast]) => [pieceHeader(file, text.length, isLast), Buffer.from(text)]));
  // file, length with its highest bit, bytes
  assert.equal(bytes.toString('hex', 0, 19), '00000000' + '80000003' + '616263' + '00000003' + '80000000');
  for (const size of [1, 2, 5, 8, 9, 100])
    assert.deepEqual(decoded(bytes, size), ['0:abc', '3:', '9:between', '7:first second'], `by ${size}`);
});

test('contents that are cut, or in pieces that are too long, are refused', () => {
  const decoder = new FileContentsDecoder({ piece() {} });
  decoder.push(pieceHeader(1, 5, true));
  assert.throws(() => decoder.end(), /end within a piece/);
  assert.throws(() => new FileContentsDecoder({ piece() {} }).push(pieceHeader(1, MAXIMUM_PIECE_BYTES + 1, true)), /the limit/);
});

const entry = (path: string, more: Partial<ListedFile> = {}): ListedFile => ({
  path,
  type: 'file',
  mode: 0o4755,
  sizeBytes: 2 ** 40,
  modifiedAt: { seconds: -5, nanoseconds: 999_999_999 },
  linkTarget: '',
  deviceMajor: 0,
  deviceMinor: 0,
  extendedAttributes: new Map(),
  ...more,
});

test('a list of files comes back as it was', () => {
  const entries = [
    entry('a'),
    entry('ü/\udc80', { type: 'symbolic-link', linkTarget: '../\udcff' }),
    entry('d', { type: 'block-device', deviceMajor: 8, deviceMinor: 1, changedAt: { seconds: 1, nanoseconds: 2 } }),
    entry('x', {
      digest: 'ab'.repeat(32),
      extendedAttributes: new Map([
        ['user.a', Buffer.from([0, 1])],
        ['security.capability', Buffer.alloc(0)],
      ]),
    }),
  ];
  const bytes = encodeFileList(entries);
  for (const size of [1, 7, bytes.length]) {
    const decoder = new FileListDecoder('the list');
    const back: ListedFile[] = [];
    for (let at = 0; at < bytes.length; at += size) back.push(...decoder.push(bytes.subarray(at, at + size)));
    decoder.end();
    assert.deepEqual(back, entries);
  }
});

test('SEC-18 lists of files that are damaged are refused, whatever the byte', () => {
  const bytes = encodeFileList([
    entry('path', { changedAt: { seconds: 1, nanoseconds: 2 }, extendedAttributes: new Map([['user.a', Buffer.from('v')]]) }),
  ]);
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0, 0x7f, 0xff]) {
      const changed = Buffer.from(bytes);
      changed[at] = value;
      try {
        const decoder = new FileListDecoder('the list');
        decoder.push(changed);
        decoder.end();
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'invalid', `${at} ${value}`);
      }
    }
  }
  const cut = new FileListDecoder('the list');
  cut.push(bytes.subarray(0, -1));
  assert.throws(() => cut.end(), /the list is damaged: it ends within an entry/);
});
