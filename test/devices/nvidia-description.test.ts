/**
 * Whole descriptions of fake machines, compared with recorded ones. Needs root (device nodes). When a change is meant:
 * `RECORD=1 node --test test/devices/nvidia-description.test.ts`, and read the difference.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { catalogueOf, editsOf } from '../../src/devices/cdi/catalogue.ts';
import type { CdiSpec } from '../../src/devices/cdi/cdi-spec.ts';
import { checkCdiSpec } from '../../src/devices/cdi/parse-cdi-spec.ts';
import { loaderLibraries } from '../../src/devices/loader-cache/loader-libraries.ts';
import { nvidiaVendor } from '../../src/devices/nvidia/nvidia-vendor.ts';
import { resolveEdits } from '../../src/devices/resolve-edits.ts';
import { type FakeDriver, type FakeDriverOptions, makeFakeDriver } from '../harness/fake-driver.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : process.arch !== 'x64' ? 'recorded on x86-64' : false;

async function onFakeMachine(options: FakeDriverOptions, use: (fake: FakeDriver) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-described-'));
  try {
    await use(makeFakeDriver(join(folder, 'machine'), options));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function describe({ root, inventory }: FakeDriver, capabilities: readonly string[] | null): Promise<CdiSpec> {
  const look = await nvidiaVendor({ deviceRoot: root, driverRoot: root, readings: { inventory: () => Promise.resolve(inventory) } }).look();
  assert.ok(look.present);
  assert.deepEqual(look.problems, []);
  return look.describe(capabilities === null ? null : new Set(capabilities));
}

function compare(name: string, spec: CdiSpec, { root }: FakeDriver): void {
  const file = fileURLToPath(new URL(`recorded/${name}.json`, import.meta.url));
  const text = `${JSON.stringify(spec, null, 2).replaceAll(root, '<root>')}\n`;
  if (process.env.RECORD === '1') writeFileSync(file, text);
  assert.deepEqual(JSON.parse(text), JSON.parse(readFileSync(file, 'utf8')));
}

test('one GPU, what nvidia-smi and CUDA need', { skip }, async () => {
  await onFakeMachine({}, async (fake) => compare('compute-utility', await describe(fake, ['compute', 'utility']), fake));
});

test('two GPUs, one divided into two parts', { skip }, async () => {
  await onFakeMachine({ gpus: 2, mig: { 1: [{}, { profile: '2g.20gb' }] }, without: ['graphics', 'dri'] }, async (fake) => {
    compare('mig', await describe(fake, ['compute']), fake);
  });
});

test('everything: graphics, 32-bit libraries, sockets of a machine with NVSwitches', { skip }, async () => {
  await onFakeMachine({ fabric: true }, async (fake) => compare('graphics-compat32', await describe(fake, ['all']), fake));
});

test('a description is valid by the specification, all it names is there, and the loader finds every library by SONAME', {
  skip,
}, async () => {
  await onFakeMachine({ gpus: 2 }, async (fake) => {
    const spec = await describe(fake, null);
    checkCdiSpec(spec, 'discovery');
    const edits = await resolveEdits(editsOf(catalogueOf([], { files: [], problems: [] }, [spec]), ['nvidia.com/gpu=1']), {
      deviceRoot: fake.root,
    });
    assert.deepEqual(edits.hooks, []);
    assert.deepEqual(
      edits.nodes.map(({ path, major, minor, access }) => [path, major, minor, access]),
      [
        ['/dev/nvidiactl', 195, 255, 'rw'],
        ['/dev/nvidia-modeset', 195, 254, 'rw'],
        ['/dev/nvidia-uvm', 511, 0, 'rw'],
        ['/dev/nvidia-uvm-tools', 511, 1, 'rw'],
        ['/dev/nvidia1', 195, 1, 'rw'],
        ['/dev/dri/card2', 226, 2, 'rw'],
        ['/dev/dri/renderD129', 226, 129, 'rw'],
      ],
    );
    const libraries = await loaderLibraries(edits);
    const cuda = libraries.filter(({ soname }) => soname.startsWith('libcuda.so')).map(({ soname, path }) => [soname, path]);
    assert.deepEqual(
      new Map(cuda as [string, string][]),
      new Map([
        ['libcuda.so.1', '/usr/lib/x86_64-linux-gnu/libcuda.so.1'],
        ['libcuda.so', '/usr/lib/x86_64-linux-gnu/libcuda.so'],
      ]),
    );
    const expected = fake.libraries.filter(({ path }) => !path.includes('i386')).map(({ soname }) => soname);
    assert.deepEqual(
      expected.filter((soname) => !libraries.some((library) => library.soname === soname)),
      [],
    );
  });
});
