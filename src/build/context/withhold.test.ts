import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { readContextIndex } from './context-index.ts';
import { createContextStore } from './create-context-store.ts';
import { type TarFile, tarOf } from './testing/small-tar.ts';

const root = mkdtempSync(join(tmpdir(), 'g-withhold-'));
let store: Awaited<ReturnType<typeof createContextStore>>;
const skip = process.getuid?.() === 0 ? false : 'needs root';

before(async () => {
  store = await createContextStore({ root });
});
after(async () => {
  await store.close();
  rmSync(root, { recursive: true, force: true });
});

async function receive(ignore: string | null, dockerfiles?: readonly string[]) {
  const files: readonly TarFile[] = [
    ...(ignore === null ? [] : [{ path: '.dockerignore', content: ignore }]),
    { path: 'Dockerfile', content: 'FROM scratch' },
    { path: 'sub/Other', content: 'FROM other' },
    { path: 'x', content: 'ignored by its sender, or not' },
  ];
  const stream = Readable.from([tarOf(files)]);
  const context = await store.receive(
    { kind: 'tar', stream, ...(dockerfiles === undefined ? {} : { dockerfiles }) },
    () => {},
    new AbortController().signal,
  );
  const { files: held, withheld } = context;
  const paths = held.index === null ? [] : [...readContextIndex(held.index).keys()];
  const isThere = existsSync(join(held.directory, 'Dockerfile'));
  await context.release();
  return { paths, isThere, withheld: [...(withheld ?? [])].map(([path, bytes]) => `${path}: ${Buffer.from(bytes)}`) };
}

test('a Dockerfile that .dockerignore names is handed over beside the context', { skip }, async () => {
  const { paths, isThere, withheld } = await receive('Dockerfile\n.dockerignore\nx\n', ['Dockerfile', 'dockerfile']);
  assert.deepEqual(paths, ['sub', 'sub/Other', 'x']);
  assert.equal(isThere, false);
  assert.deepEqual(withheld, ['.dockerignore: Dockerfile\n.dockerignore\nx\n', 'Dockerfile: FROM scratch']);
});

test('what is taken back in, what is not named, and what nobody asked for stays', { skip }, async () => {
  assert.deepEqual((await receive('*\n!Dockerfile\n', ['Dockerfile'])).withheld, ['.dockerignore: *\n!Dockerfile\n']);
  assert.deepEqual((await receive('sub\n', ['sub/Other'])).withheld, ['sub/Other: FROM other']);
  assert.deepEqual((await receive('x\n', ['Dockerfile'])).withheld, []);
  assert.deepEqual((await receive(null, ['Dockerfile'])).withheld, []);
  const { isThere, withheld } = await receive('Dockerfile\n');
  assert.deepEqual([isThere, withheld], [true, []]);
});
