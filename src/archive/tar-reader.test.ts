import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodePaxRecord } from './pax.ts';
import { paddingBytes, type TarEntry, type TarEntryType, type TarLimits } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';
import { readTar } from './tar-stream.ts';
import { encodeTarHeader, endOfArchive, type NewTarEntry, type WritableEntry, writeTar } from './tar-writer.ts';

interface ReadEntry {
  readonly entry: TarEntry;
  readonly content: Buffer;
}

/** Reads with chunk sizes taken in turn, so that every boundary falls everywhere. */
function read(bytes: Uint8Array, chunkSizes: readonly number[] = [bytes.length || 1], limits: Partial<TarLimits> = {}): ReadEntry[] {
  const entries: ReadEntry[] = [];
  let content = Buffer.alloc(0);
  let entry: TarEntry | null = null;
  const reader = new TarReader(
    {
      entry(next) {
        entry = next;
        content = Buffer.alloc(next.sizeBytes);
      },
      content(part, offset) {
        content.set(part, offset);
      },
      endOfEntry() {
        if (entry !== null) entries.push({ entry, content });
      },
    },
    limits,
  );
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = chunkSizes[turn % chunkSizes.length] ?? 1;
    // A buffer that is overwritten afterwards: nothing may hold on to it.
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    reader.push(chunk);
    chunk.fill(0xee);
    at += size;
  }
  reader.end();
  return entries;
}

async function write(entries: readonly WritableEntry[]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeTar(entries)) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

/** One raw entry: header block patched by `patch`, then content and padding. */
function raw(entry: NewTarEntry, content = Buffer.alloc(0), patch: (header: Buffer) => void = () => {}): Buffer {
  const header = encodeTarHeader({ ...entry, sizeBytes: content.length });
  const block = header.subarray(header.length - 512);
  patch(block);
  block.fill(' ', 148, 156);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  return Buffer.concat([header, content, Buffer.alloc(paddingBytes(content.length))]);
}

function pax(records: Readonly<Record<string, string | Buffer>>, type = 'x'): Buffer {
  const body = Buffer.concat(Object.entries(records).map(([key, value]) => encodePaxRecord(key, Buffer.from(value))));
  return raw({ type: 'file', path: 'PaxHeaders.0/x' }, body, (header) => header.write(type, 156));
}

function longName(text: string, type: 'L' | 'K'): Buffer {
  return raw({ type: 'file', path: '././@LongLink' }, Buffer.from(`${text}\0`), (header) => header.write(type, 156));
}

const segment = fc
  .string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
  .filter((text) => !/[/\0]/.test(text) && text.isWellFormed() && !/^\.*$/.test(text));
const path = fc.array(segment, { minLength: 1, maxLength: 8 }).map((parts) => parts.join('/'));
const types: readonly TarEntryType[] = ['file', 'hard-link', 'symbolic-link', 'character-device', 'block-device', 'directory', 'fifo'];

const anyEntry = fc
  .record({
    type: fc.constantFrom(...types),
    path,
    target: path,
    content: fc.uint8Array({ maxLength: 1500 }),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 0xfffffffe }),
    gid: fc.integer({ min: 0, max: 0xfffffffe }),
    userName: fc.string({ maxLength: 40 }).filter((text) => !text.includes('\0')),
    modifiedAt: fc.record({
      seconds: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
      nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    }),
    device: fc.integer({ min: 0, max: 255 }),
    attributes: fc.dictionary(fc.stringMatching(/^user\.[a-z=%.]{1,20}$/), fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxKeys: 3 }),
  })
  .map((value) => ({
    entry: {
      type: value.type,
      path: value.path,
      linkTarget: value.type.endsWith('link') ? value.target : '',
      sizeBytes: value.type === 'file' ? value.content.length : 0,
      mode: value.mode,
      uid: value.uid,
      gid: value.gid,
      userName: value.userName,
      groupName: '',
      modifiedAt: value.modifiedAt,
      deviceMajor: value.type.endsWith('device') ? value.device : 0,
      deviceMinor: value.type.endsWith('device') ? value.device : 0,
      // A key with "=" would end at it: PAX has no way to write that.
      extendedAttributes: new Map(Object.entries(value.attributes).filter(([name]) => !name.includes('='))),
      extents: null,
    } satisfies TarEntry,
    ...(value.type === 'file' ? { content: value.content } : {}),
  }));

test('TarReader: what writeTar wrote comes back, whatever the chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyEntry, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 5 }),
      async (entries, chunks) => {
        const result = read(await write(entries), chunks);
        assert.equal(result.length, entries.length);
        for (const [index, { entry, content }] of result.entries()) {
          assert.deepEqual(plain(entry), plain(entries[index]?.entry as TarEntry));
          assert.deepEqual(new Uint8Array(content), entries[index]?.content ?? new Uint8Array(0));
        }
      },
    ),
    { numRuns: 150 },
  );
});

function plain(entry: TarEntry): unknown {
  return {
    ...entry,
    modifiedAt: { ...entry.modifiedAt },
    extendedAttributes: [...entry.extendedAttributes].map(([name, value]) => [name, [...value]]).sort(),
  };
}

test('readTar: content with back-pressure, skipped content, and bytes after the end', async () => {
  const archive = await write([
    { entry: { type: 'file', path: 'a' }, content: Buffer.alloc(3000, 'a') },
    { entry: { type: 'file', path: 'skipped' }, content: Buffer.alloc(100_000, 's') },
    { entry: { type: 'file', path: 'half' }, content: Buffer.alloc(100_000, 'h') },
    { entry: { type: 'directory', path: 'd' } },
    { entry: { type: 'file', path: 'b' }, content: Buffer.from('end') },
  ]);
  let pulled = 0;
  async function* source() {
    for (let at = 0; at < archive.length; at += 1000) {
      pulled = at;
      yield archive.subarray(at, at + 1000);
    }
    yield Buffer.from('trailing bytes belong to the stream');
    pulled = -1;
  }
  const seen: string[] = [];
  for await (const { entry, content } of readTar(source())) {
    if (entry.path === 'a') {
      for await (const chunk of content) seen.push(`a${chunk.length > 0}`);
      assert.ok(pulled < 5000, 'only what was needed was pulled');
    } else if (entry.path === 'half') {
      for await (const chunk of content) {
        seen.push(`half ${chunk.length > 0}`);
        break;
      }
    } else if (entry.path !== 'skipped') {
      const chunks = [];
      for await (const chunk of content) chunks.push(chunk);
      seen.push(`${entry.path}:${Buffer.concat(chunks)}`);
    }
  }
  assert.deepEqual([...new Set(seen)], ['atrue', 'half true', 'd:', 'b:end']);
  assert.equal(pulled, -1, 'the source was read to its end');
});

test('readTar: an error of the source and a consumer that leaves both end the source', async () => {
  const archive = await write([{ entry: { type: 'file', path: 'a' }, content: Buffer.alloc(5000) }]);
  let ended = 0;
  async function* source(fail: boolean) {
    try {
      yield archive.subarray(0, 1000);
      if (fail) throw new Error('connection lost');
      yield archive.subarray(1000);
    } finally {
      ended++;
    }
  }
  await assert.rejects(
    async () => {
      for await (const { content } of readTar(source(true))) for await (const _ of content);
    },
    { message: 'connection lost' },
  );
  for await (const _ of readTar(source(false))) break;
  assert.equal(ended, 2);
});

test('writeTar: content that is not as long as announced', async () => {
  for (const content of [[Buffer.from('ab')], [Buffer.from('abcd')]]) {
    await assert.rejects(write([{ entry: { type: 'file', path: 'a', sizeBytes: 3 }, content }]), {
      code: 'system',
      message: /announced with 3 bytes/,
    });
  }
});

test('TarReader: PAX beats the header, global records count until overridden, LIBARCHIVE attributes decode', () => {
  const entries = read(
    Buffer.concat([
      pax({ uid: '7', comment: 'x', 'SCHILY.xattr.user.g': 'global' }, 'g'),
      pax({
        path: 'långt/namn',
        size: '3',
        mtime: '5.25',
        uid: '',
        'LIBARCHIVE.xattr.user%2Eq': 'aGk',
        'SCHILY.xattr.user.s': Buffer.from([1, 0, 2]),
      }),
      raw({ type: 'file', path: 'short', uid: 3 }, Buffer.from('abc'), (header) => header.write('00000000777', 124)),
      raw({ type: 'file', path: 'next', uid: 3 }),
      endOfArchive,
    ]),
  );
  assert.deepEqual(
    entries.map(({ entry, content }) => [entry.path, entry.uid, content.toString(), entry.modifiedAt.nanoseconds]),
    [
      ['långt/namn', 3, 'abc', 250_000_000],
      ['next', 7, '', 0],
    ],
  );
  const attributes = entries[0]?.entry.extendedAttributes;
  assert.deepEqual([...(attributes ?? [])].map(([name, value]) => [name, Buffer.from(value).toString('latin1')]).sort(), [
    ['user.g', 'global'],
    ['user.q', 'hi'],
    ['user.s', '\x01\x00\x02'],
  ]);
});

test('TarReader: a directory by its slash, a link without content, names that are not UTF-8', () => {
  const entries = read(
    Buffer.concat([
      raw({ type: 'file', path: 'old-style/' }),
      raw({ type: 'hard-link', path: 'l', linkTarget: 't' }, Buffer.alloc(0), (header) => header.write('00000001000', 124)),
      raw({ type: 'file', path: 'x\udcff' }),
      longName('n'.repeat(300), 'L'),
      longName('t'.repeat(200), 'K'),
      raw({ type: 'symbolic-link', path: 'cut', linkTarget: 'cut' }),
    ]),
  );
  assert.deepEqual(
    entries.map(({ entry }) => [entry.type, entry.path, entry.linkTarget]),
    [
      ['directory', 'old-style', ''],
      ['hard-link', 'l', 't'],
      ['file', 'x\udcff', ''],
      ['symbolic-link', 'n'.repeat(300), 't'.repeat(200)],
    ],
  );
});

const hostile: Readonly<Record<string, { readonly bytes: Buffer; readonly message: RegExp; readonly limits?: Partial<TarLimits> }>> = {
  'two names that disagree': {
    bytes: Buffer.concat([longName('a', 'L'), pax({ path: 'b' }), raw({ type: 'file', path: 'c' })]),
    message: /contradictory.*names/,
  },
  'two link targets that disagree': {
    bytes: Buffer.concat([longName('a', 'K'), pax({ linkpath: 'b' }), raw({ type: 'symbolic-link', path: 'c', linkTarget: 'd' })]),
    message: /contradictory.*link targets/,
  },
  'a NUL in a PAX path': { bytes: Buffer.concat([pax({ path: 'a\0b' }), raw({ type: 'file', path: 'c' })]), message: /NUL/ },
  'a NUL inside a long name': { bytes: longName('a\0b', 'L'), message: /NUL/ },
  'a NUL in the name of an attribute': {
    bytes: Buffer.concat([pax({ 'LIBARCHIVE.xattr.user.x%00y': 'aGk=' }), raw({ type: 'file', path: 'c' })]),
    message: /extended attribute holds a NUL/,
  },
  'a global path': { bytes: pax({ path: 'everything' }, 'g'), message: /for all entries/ },
  'an empty path': { bytes: raw({ type: 'file', path: '' }), message: /empty path/ },
  'an empty link target': { bytes: raw({ type: 'symbolic-link', path: 'a' }), message: /empty link target/ },
  'a PAX record that is too long': {
    bytes: raw({ type: 'file', path: 'x' }, Buffer.from('99 a=b\n'), (header) => header.write('x', 156)),
    message: /wrong length/,
  },
  'a negative PAX size': { bytes: Buffer.concat([pax({ size: '-1' }), raw({ type: 'file', path: 'a' })]), message: /size is not a number/ },
  'an absurd PAX size': {
    bytes: Buffer.concat([pax({ size: '9223372036854775807' }), raw({ type: 'file', path: 'a' })]),
    message: /absurdly large/,
  },
  'a file over the limit': {
    bytes: Buffer.concat([pax({ size: String(2 ** 50) }), raw({ type: 'file', path: 'a' })]),
    message: /the limit is/,
  },
  'a huge PAX header': {
    bytes: Buffer.concat([pax({ comment: Buffer.alloc(3000) })]),
    limits: { extendedHeaderBytes: 2000 },
    message: /extended header of \d+ bytes/,
  },
  'too many entries': {
    bytes: Buffer.concat(['a', 'b', 'c'].map((name) => raw({ type: 'file', path: name }))),
    limits: { entries: 2 },
    message: /more than 2 entries/,
  },
  'a long name over the limit': {
    bytes: Buffer.concat([longName('n'.repeat(5000), 'L'), raw({ type: 'file', path: 'a' })]),
    message: /longer than 4095/,
  },
  'a multi-volume entry': {
    bytes: raw({ type: 'file', path: 'a' }, Buffer.alloc(0), (header) => header.write('M', 156)),
    message: /another volume.*not supported/,
  },
  'an unknown type': {
    bytes: raw({ type: 'file', path: 'a' }, Buffer.alloc(0), (header) => header.write('Z', 156)),
    message: /type "Z", which is not supported/,
  },
  'an end after a PAX header': { bytes: Buffer.concat([pax({ path: 'b' }), endOfArchive]), message: /ends after an extended header/ },
  'an end inside content': { bytes: raw({ type: 'file', path: 'a' }, Buffer.alloc(600)).subarray(0, 700), message: /middle of an entry/ },
  'an end inside padding': { bytes: raw({ type: 'file', path: 'a' }, Buffer.alloc(600)).subarray(0, 1200), message: /middle of an entry/ },
  'an end inside a header': { bytes: raw({ type: 'file', path: 'a' }).subarray(0, 300), message: /middle of an entry/ },
  'a sparse file of 8 EiB': {
    bytes: raw({ type: 'file', path: 'a' }, Buffer.alloc(0), (header) => {
      header.write('S', 156);
      header.set([0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 483);
    }),
    message: /absurd real size/,
  },
  'a sparse file with pieces out of order': {
    bytes: Buffer.concat([
      pax({ 'GNU.sparse.map': '512,512,0,512', 'GNU.sparse.size': '2048' }),
      raw({ type: 'file', path: 'a' }, Buffer.alloc(1024)),
    ]),
    message: /overlap or are out of order/,
  },
  'a sparse file with a piece beyond its end': {
    bytes: Buffer.concat([
      pax({ 'GNU.sparse.map': '512,512', 'GNU.sparse.size': '600' }),
      raw({ type: 'file', path: 'a' }, Buffer.alloc(512)),
    ]),
    message: /beyond the end/,
  },
  'a sparse file that stores less than it says': {
    bytes: Buffer.concat([
      pax({ 'GNU.sparse.map': '0,1024', 'GNU.sparse.size': '4096' }),
      raw({ type: 'file', path: 'a' }, Buffer.alloc(512)),
    ]),
    message: /hold 1024 bytes but 512 are stored/,
  },
  'a sparse map with too many pieces': {
    bytes: Buffer.concat([
      pax({ 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '10' }),
      raw({ type: 'file', path: 'a' }, Buffer.from('99999999999\n'.padEnd(512, '\0'))),
    ]),
    message: /sparse file of 99999999999 pieces/,
  },
  'a sparse version of the future': {
    bytes: Buffer.concat([pax({ 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0' }), raw({ type: 'file', path: 'a' })]),
    message: /format 2.0, which is not supported/,
  },
};

for (const [name, { bytes, message, limits }] of Object.entries(hostile)) {
  test(`TarReader: ${name} is refused`, () => {
    for (const chunk of [bytes.length, 100, 1])
      assert.throws(() => read(bytes, [chunk], limits), { name: 'EngineError', code: 'invalid', message });
  });
}

test('TarReader: an archive without an end marker is accepted, what follows the marker is ignored', () => {
  const entry = raw({ type: 'file', path: 'a' });
  assert.equal(read(entry).length, 1);
  assert.equal(read(Buffer.concat([entry, endOfArchive, Buffer.from('garbage')])).length, 1);
  assert.throws(() => read(Buffer.concat([entry, endOfArchive.subarray(512), entry])), { message: /empty block/ });
});

function inTemporaryDirectory(use: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'g-tar-'));
  try {
    use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('TarReader: an archive that ends with the content of its last file, as the docker CLI writes contexts, is whole', () => {
  for (const bytes of [1, 511, 600]) {
    const whole = raw({ type: 'file', path: 'a' }, Buffer.alloc(bytes, 'x'));
    assert.deepEqual(
      read(whole.subarray(0, 512 + bytes)).map(({ content }) => content.length),
      [bytes],
    );
  }
});

test('TarReader: every format of GNU tar, with and without holes, reads alike', () => {
  inTemporaryDirectory((directory) => {
    const script = `mkdir -p d/sub && echo hi > d/a && ln -s a d/link && ln d/a d/hard && printf x > d/$(printf 'n%.0s' $(seq 200)) &&
      truncate -s 3M d/sparse && echo tail >> d/sparse && for i in $(seq 0 30); do printf z | dd of=d/pieces bs=4096 seek=$((i * 3)) conv=notrunc 2>/dev/null; done`;
    execFileSync('bash', ['-c', script], { cwd: directory });
    const formats = ['--format=gnu', '--format=oldgnu', '--format=posix', '--format=gnu -S', '--format=oldgnu -S'];
    for (const version of ['0.0', '0.1', '1.0']) formats.push(`--format=posix -S --sparse-version=${version}`);
    const results = formats.map((format) => {
      execFileSync('tar', [...format.split(' '), '--sort=name', '-cf', 'x.tar', 'd'], { cwd: directory });
      return read(readFileSync(join(directory, 'x.tar')), [10_007]).map(
        ({ entry, content }): readonly [string, string, string, number, Buffer] => [
          entry.type,
          entry.path,
          entry.linkTarget,
          entry.sizeBytes,
          content,
        ],
      );
    });
    for (const [index, result] of results.entries()) assert.deepEqual(result, results[0], formats[index] ?? '');
    assert.equal(results[0]?.length, 8);
    assert.ok(results[5]?.some(([, name]) => name === 'd/sparse'));
  });
});

test('writeTar: Python and GNU tar read what it writes', async () => {
  const entries: readonly WritableEntry[] = [
    { entry: { type: 'directory', path: 'd', mode: 0o1777 } },
    {
      entry: { type: 'file', path: `d/${'é'.repeat(120)}`, uid: 3_000_000, modifiedAt: { seconds: 1_600_000_000, nanoseconds: 5 } },
      content: Buffer.from('hello'),
    },
    { entry: { type: 'symbolic-link', path: 'd/s', linkTarget: 't'.repeat(150) } },
    { entry: { type: 'hard-link', path: 'd/h', linkTarget: `d/${'é'.repeat(120)}` } },
    { entry: { type: 'fifo', path: 'd/fifo' } },
  ];
  const archive = await write(entries);
  inTemporaryDirectory((directory) => {
    writeFileSync(join(directory, 'x.tar'), archive);
    const program = `import tarfile\nfor m in tarfile.open('x.tar'): print(m.name, m.type.decode(), m.size, oct(m.mode), m.uid, m.mtime, m.linkname, sep='|')`;
    const lines = execFileSync('python3', ['-c', program], { cwd: directory, encoding: 'utf8' }).trimEnd().split('\n');
    assert.deepEqual(lines, [
      'd|5|0|0o1777|0|0|',
      `d/${'é'.repeat(120)}|0|5|0o644|3000000|1600000000.000000005|`.replace('1600000000.000000005', '1600000000.0'),
      `d/s|2|0|0o644|0|0|${'t'.repeat(150)}`,
      `d/h|1|0|0o644|0|0|d/${'é'.repeat(120)}`,
      'd/fifo|6|0|0o644|0|0|',
    ]);
    const listing = execFileSync('tar', ['--quoting-style=literal', '-tf', 'x.tar'], { cwd: directory, encoding: 'utf8' })
      .trimEnd()
      .split('\n');
    assert.deepEqual(listing, ['d/', `d/${'é'.repeat(120)}`, 'd/s', 'd/h', 'd/fifo']);
  });
});

test('TarReader: what Python writes', () => {
  inTemporaryDirectory((directory) => {
    const program = `import tarfile, io
for f, n in ((tarfile.GNU_FORMAT, 'gnu'), (tarfile.PAX_FORMAT, 'pax')):
  t = tarfile.open(n, 'w', format=f)
  i = tarfile.TarInfo('å' * 150); i.size = 3; i.mtime = 1234567890; i.uid = 2**30; t.addfile(i, io.BytesIO(b'abc'))
  i = tarfile.TarInfo('link'); i.type = tarfile.SYMTYPE; i.linkname = 'ö' * 150; t.addfile(i)
  t.close()`;
    execFileSync('python3', ['-c', program], { cwd: directory });
    for (const format of ['gnu', 'pax']) {
      const [file, link] = read(readFileSync(join(directory, format)), [333]);
      assert.equal(file?.entry.path, 'å'.repeat(150));
      assert.equal(file?.entry.uid, 2 ** 30);
      assert.equal(file?.entry.modifiedAt.seconds, 1_234_567_890);
      assert.equal(file?.content.toString(), 'abc');
      assert.equal(link?.entry.linkTarget, 'ö'.repeat(150));
    }
  });
});
