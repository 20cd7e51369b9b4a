/**
 * Unpacking of hostile layers put together at random from links, `..`, whiteouts and all types of entries: nothing outside the store changes, every failure is
 * `invalid`, nothing half-made stays. Needs root. `GANTRY_FUZZ_RUNS` sets the number of chains (default 300).
 */
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TarEntryType } from '../../src/archive/tar-entry.ts';
import { EngineError } from '../../src/base/errors.ts';
import { LayerStack } from '../../src/store/layer-stack.ts';
import { type LayerEntry, LayerFixture, layerTar, needsRoot } from '../kernel/layer-fixture.ts';

const runs = Number(process.env.GANTRY_FUZZ_RUNS ?? 300);
const outside = mkdtempSync(join(tmpdir(), 'g-fuzz-'));
const types: readonly TarEntryType[] = [
  'file',
  'file',
  'directory',
  'directory',
  'symbolic-link',
  'symbolic-link',
  'hard-link',
  'character-device',
  'fifo',
];
const ordinary = fc.constantFrom('a', 'b', 'c', outside.slice(1));
const odd = fc.constantFrom('..', '.', '.wh.a', '.wh.b', '.wh..wh..opq', '.wh..wh.x', '.wh..', '');
const path = fc
  .tuple(fc.array(ordinary, { maxLength: 3 }), fc.oneof({ weight: 9, arbitrary: ordinary }, { weight: 2, arbitrary: odd }))
  .map(([parents, last]) => [...parents, last].join('/') || '/');
const target = fc.oneof(
  path,
  fc.constantFrom(
    outside,
    `${outside}/file`,
    `${'../'.repeat(9)}${outside.slice(1)}/dir`,
    '/proc/self/root',
    '/proc/self/cwd',
    '/',
    '.',
    '..',
  ),
);

const entry: fc.Arbitrary<LayerEntry> = fc
  .record({ type: fc.constantFrom(...types), path, target, mode: fc.constantFrom(0o777, 0o4755, 0), device: fc.constantFrom(0, 1, 3) })
  .map((value) => ({
    type: value.type,
    path: value.path,
    mode: value.mode,
    linkTarget: value.type.endsWith('link') ? value.target : '',
    deviceMajor: value.device,
    deviceMinor: value.device,
    ...(value.type === 'file' && !value.path.endsWith('/') ? { content: 'evil' } : {}),
  }));

function snapshot(directory: string): string {
  const lines = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .concat('.')
    .sort()
    .map((name) => {
      const stats = lstatSync(join(directory, name), { bigint: true });
      return [
        name,
        stats.mode,
        stats.uid,
        stats.nlink,
        stats.ino,
        stats.ctimeNs,
        stats.isFile() ? readFileSync(join(directory, name)) : '',
      ].join(' ');
    });
  return lines.join('\n');
}

test(`createLayerStore: ${runs} random hostile chains`, { skip: needsRoot }, async (context) => {
  mkdirSync(join(outside, 'dir'));
  writeFileSync(join(outside, 'file'), 'canary');
  const before = snapshot(outside);
  const fixture = new LayerFixture();
  let unpacked = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(entry, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 }), async (layers) => {
        try {
          const refs = await fixture.unpack(fixture.chain(...layers.map((entries) => layerTar(...entries))));
          new LayerStack(fixture.stack(refs)).resolve('a/b/c');
          unpacked++;
        } catch (error) {
          assert.ok(error instanceof EngineError && error.code === 'invalid', String(error));
        }
        assert.deepEqual(
          readdirSync(fixture.root).filter((name) => name.startsWith('tmp-')),
          [],
        );
        assert.equal(snapshot(outside), before);
      }),
      { numRuns: runs },
    );
    context.diagnostic(`${unpacked} of ${runs} chains were unpacked, contained; the others were refused`);
  } finally {
    await fixture.close();
    rmSync(outside, { recursive: true, force: true });
  }
});
