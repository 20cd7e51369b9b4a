import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { tinyLibrary } from '../../../test/harness/tiny-elf.ts';
import { readElfFacts } from './elf-facts.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-elf-'));
after(() => rmSync(folder, { recursive: true }));

function file(bytes: Uint8Array | string): string {
  const path = join(folder, 'library');
  writeFileSync(path, bytes);
  return path;
}

test('readElfFacts: machine and SONAME of 64 and 32 bit libraries', async () => {
  for (const machine of ['x86_64', 'i386', 'aarch64'] as const) {
    assert.deepEqual(await readElfFacts(file(tinyLibrary(machine, 'libcuda.so.1'))), { machine, soname: 'libcuda.so.1' });
    assert.deepEqual(await readElfFacts(file(tinyLibrary(machine, null))), { machine, soname: null });
  }
});

test('readElfFacts: a library of this machine', async () => {
  const facts = await readElfFacts(process.execPath);
  assert.equal(facts?.machine, process.arch === 'arm64' ? 'aarch64' : 'x86_64');
});

test('readElfFacts: a SONAME that would lead elsewhere is none', async () => {
  for (const soname of ['../../etc/passwd', '..', 'a/b', 'a b', 'x'.repeat(300)]) {
    assert.equal((await readElfFacts(file(tinyLibrary('x86_64', soname))))?.soname, null, soname);
  }
});

test('readElfFacts: no ELF file, a FIFO, a directory', async () => {
  assert.equal(await readElfFacts(file('GROUP ( /lib/libc.so.6 )')), null);
  assert.equal(await readElfFacts(file('')), null);
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  assert.equal(await readElfFacts(fifo), null);
  await assert.rejects(readElfFacts(join(folder, 'none')), { code: 'ENOENT' });
});

test('readElfFacts: whatever the bytes, facts or none', async () => {
  const good = tinyLibrary('x86_64', 'libcuda.so.1', [{ name: 'cuInit', number: 0, through: 'result' }]);
  let seed = 3;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(good);
    // The header, the program headers and the dynamic section say where everything is.
    for (let change = 0; change <= round % 4; change++)
      bytes[random(3) === 0 ? 0x1000 + random(bytes.length - 0x1000) : random(0x180)] = [0, 0xff, 0x7f, random(256)][random(4)] ?? 0;
    const facts = await readElfFacts(file(bytes.subarray(0, round % 7 === 0 ? random(bytes.length) : bytes.length)));
    assert.ok(facts === null || facts.soname === null || facts.soname.length < 256);
  }
});
