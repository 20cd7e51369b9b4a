/**
 * The tar reader against mutated archives: whatever comes in, it reads or says `invalid`; it never throws anything else, never hands out more than the limits
 * allow, and cuts of the stream make no difference. Mutations start from archives that reach every format, not from noise.
 * `GANTRY_FUZZ_RUNS` sets the number of archives (default 3,000), `GANTRY_FUZZ_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { encodePaxRecord } from '../../src/archive/pax.ts';
import { paddingBytes } from '../../src/archive/tar-entry.ts';
import { TarReader } from '../../src/archive/tar-reader.ts';
import { encodeTarHeader, endOfArchive, type NewTarEntry } from '../../src/archive/tar-writer.ts';
import { EngineError } from '../../src/base/errors.ts';

const runs = Number(process.env.GANTRY_FUZZ_RUNS ?? 3000);
const seed = Number(process.env.GANTRY_FUZZ_SEED ?? Date.now() % 1_000_000);

/** mulberry32: repeatable. */
function generator(state: number): (below: number) => number {
  let value = state;
  return (below) => {
    value = (value + 0x6d2b79f5) | 0;
    let mixed = Math.imul(value ^ (value >>> 15), 1 | value);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function piece(entry: NewTarEntry, content = Buffer.alloc(0), typeFlag?: string): Buffer {
  const header = encodeTarHeader({ ...entry, sizeBytes: content.length });
  if (typeFlag !== undefined) header.write(typeFlag, header.length - 512 + 156, 'latin1');
  return Buffer.concat([header, content, Buffer.alloc(paddingBytes(content.length))]);
}

const pax = (records: Readonly<Record<string, string>>, type = 'x') =>
  piece(
    { type: 'file', path: 'p' },
    Buffer.concat(Object.entries(records).map(([key, value]) => encodePaxRecord(key, Buffer.from(value)))),
    type,
  );

/** Pieces that a mutated archive is put together from. */
const pieces: readonly Buffer[] = [
  piece({ type: 'directory', path: 'd' }),
  piece({ type: 'file', path: 'd/f', mode: 0o4755, uid: 3_000_000 }, Buffer.alloc(700, 'x')),
  piece({ type: 'file', path: 'n'.repeat(300), modifiedAt: { seconds: -5, nanoseconds: 7 } }),
  piece({ type: 'symbolic-link', path: 's', linkTarget: 't'.repeat(200) }),
  piece({ type: 'hard-link', path: 'h', linkTarget: 'd/f' }),
  piece({ type: 'character-device', path: 'c', deviceMajor: 1, deviceMinor: 3 }),
  piece({ type: 'file', path: 'L' }, Buffer.from(`${'l'.repeat(600)}\0`), 'L'),
  piece({ type: 'file', path: 'K' }, Buffer.from(`${'k'.repeat(100)}\0`), 'K'),
  pax({ path: 'pax/path', size: '12', mtime: '1.5', 'SCHILY.xattr.user.x': 'v', 'LIBARCHIVE.xattr.user.y': 'aGk=' }),
  pax({ uid: '7', comment: 'c' }, 'g'),
  pax({ 'GNU.sparse.map': '0,512,4096,512', 'GNU.sparse.size': '8192', 'GNU.sparse.name': 'sparse' }),
  pax({ 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '4096' }),
  piece({ type: 'file', path: 'map' }, Buffer.from('1\n0\n512\n'.padEnd(1024, '\0'))),
  pax({ 'GNU.sparse.offset': '0', 'GNU.sparse.numbytes': '512', 'GNU.sparse.size': '600' }),
  oldSparse(),
  endOfArchive.subarray(0, 512) as Buffer,
  Buffer.from(endOfArchive),
];

function oldSparse(): Buffer {
  const whole = piece({ type: 'file', path: 'old-sparse' }, Buffer.alloc(512, 's'), 'S');
  whole.write('ustar  \0', 257, 'latin1');
  whole.write('00000001000\x0000000001000\0', 386, 'latin1');
  whole.write('00000010000\0', 483, 'latin1');
  return whole;
}

function archive(random: (below: number) => number): Buffer {
  const bytes = Buffer.concat(Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)] ?? endOfArchive));
  for (let count = random(6); count > 0; count--) {
    const at = random(bytes.length);
    if (random(3) === 0) bytes[at] = random(256);
    else if (random(2) === 0) bytes.write(String(random(10)), at);
    else bytes.fill(random(256), at, Math.min(bytes.length, at + random(12)));
  }
  // Without right checksums nearly every mutation would end at the first check.
  if (random(8) !== 0)
    for (let at = 0; at + 512 <= bytes.length; at += 512) if (looksLikeHeader(bytes, at)) fixChecksum(bytes.subarray(at, at + 512));
  return random(10) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
}

function looksLikeHeader(bytes: Buffer, at: number): boolean {
  return bytes.toString('latin1', at + 257, at + 262) === 'ustar';
}

function fixChecksum(block: Buffer): void {
  block.fill(' ', 148, 156);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
}

const limits = { entries: 50, extendedHeaderBytes: 4096, nameBytes: 500, extentsPerFile: 20, fileBytes: 2 ** 30 };

/** A digest of all that the reader says, the error included; it must not depend on how the bytes were cut. */
function outcome(bytes: Buffer, chunk: number): string {
  const hash = createHash('sha256');
  let open: { size: number; end: number } | null = null;
  const reader = new TarReader(
    {
      entry(entry) {
        assert.equal(open, null);
        assert.ok(entry.path !== '' && !entry.path.includes('\0') && !entry.linkTarget.includes('\0'));
        assert.ok(entry.sizeBytes >= 0 && entry.sizeBytes <= limits.fileBytes && Buffer.byteLength(entry.path) <= limits.nameBytes);
        assert.ok(
          Number.isSafeInteger(entry.modifiedAt.seconds) && entry.modifiedAt.nanoseconds >= 0 && entry.modifiedAt.nanoseconds < 1e9,
        );
        open = { size: entry.sizeBytes, end: 0 };
        hash.update(JSON.stringify({ ...entry, extendedAttributes: [...entry.extendedAttributes.keys()] }));
      },
      content(part, offset) {
        assert.ok(
          open !== null && part.length > 0 && offset >= open.end && offset + part.length <= open.size,
          'content in order and inside the file',
        );
        open.end = offset + part.length;
        hash.update(part);
      },
      endOfEntry() {
        assert.notEqual(open, null);
        open = null;
      },
    },
    limits,
  );
  try {
    for (let at = 0; at < bytes.length; at += chunk) reader.push(bytes.subarray(at, at + chunk));
    reader.end();
  } catch (error) {
    assert.ok(error instanceof EngineError && error.code === 'invalid', `not an invalid error: ${String(error)}`);
    hash.update(error.message);
  }
  return hash.digest('hex');
}

test(`TarReader: ${runs} mutated archives, seed ${seed}`, () => {
  const random = generator(seed);
  for (let run = 0; run < runs; run++) {
    const bytes = archive(random);
    try {
      assert.equal(outcome(bytes, bytes.length || 1), outcome(bytes, 1 + random(700)));
    } catch (error) {
      assert.fail(`run ${run} of seed ${seed}: ${String(error)}\n${bytes.toString('base64')}`);
    }
  }
});
