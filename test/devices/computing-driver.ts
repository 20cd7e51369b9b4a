/** The fake machine, with a libcuda that carries out PTX (test/gpu/fake-libcuda.c). Needs root and a C compiler. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/command.ts';
import { type FakeDriver, type FakeDriverOptions, makeFakeDriver } from '../harness/fake-driver.ts';

const fakeCuda = fileURLToPath(new URL('../gpu/fake-libcuda.c', import.meta.url));

export async function makeComputingDriver(directory: string, options: FakeDriverOptions = {}): Promise<FakeDriver> {
  const driver = makeFakeDriver(directory, options);
  const library = driver.libraries.find(({ path, soname }) => soname === 'libcuda.so.1' && !path.includes('i386'));
  assert.ok(library !== undefined, 'the fake machine has no libcuda');
  const flags = ['-std=c11', '-D_GNU_SOURCE', '-O2', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror', '-Wl,-soname,libcuda.so.1'];
  const compiled = await runCommand(['cc', ...flags, '-o', join(driver.root, library.path), fakeCuda, '-lm']);
  assert.equal(compiled.status, 0, compiled.stderr);
  return driver;
}
