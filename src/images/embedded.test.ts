import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { readTar } from '../archive/tar-stream.ts';
import type { Digest } from '../base/brand.ts';
import { isStaticProgram } from './busybox-root.ts';
import type { ImageProgress } from './catalogue.ts';
import { createEmbeddedImages } from './embedded.ts';
import { openBench } from './fixtures/catalogue-bench.ts';

const busybox = '/bin/busybox';
const noBusybox = existsSync(busybox) && (await isStaticProgram(busybox)) ? false : 'needs busybox-static';
const host = { os: 'linux', architecture: 'amd64' };

test('embedded busybox: has, ensure once for two at once, the same bytes in every store', { skip: noBusybox }, async (context) => {
  const [one, two] = [await openBench(context), await openBench(context)];
  const embedded = createEmbeddedImages(one.store, { helloWorld: null, busybox }, host);
  assert.equal(embedded.has('busybox'), true);
  assert.equal(embedded.has('docker.io/library/busybox:latest', 'linux/amd64'), true);
  assert.equal(embedded.has('busybox', 'linux/s390x'), false);
  assert.equal(embedded.has('busybox:1.36'), false);
  assert.equal(embedded.has('hello-world'), false);
  const said: ImageProgress[] = [];
  const [id, same] = await Promise.all([
    embedded.ensure('busybox', (progress) => said.push(progress)),
    embedded.ensure('busybox:latest', () => {}),
  ]);
  assert.equal(id, same);
  assert.deepEqual(said.at(-1), { kind: 'status', text: 'Status: Loaded the embedded image for busybox:latest' });
  assert.deepEqual(one.catalogue.resolve('busybox').config.config.Cmd, ['sh']);
  await createEmbeddedImages(two.store, { helloWorld: null, busybox }, host).ensure('busybox', () => {});
  assert.deepEqual(one.kept(), two.kept());
  await assert.rejects(
    embedded.ensure('alpine', () => {}),
    { code: 'not-found' },
  );
});

test('embedded busybox: its root file system has what programs expect', { skip: noBusybox }, async (context) => {
  const bench = await openBench(context);
  await createEmbeddedImages(bench.store, { helloWorld: null, busybox }, host).ensure('busybox', () => {});
  const { diffIds } = bench.catalogue.resolve('busybox');
  const entries = new Map<string, { type: string; mode: number; linkTarget: string }>();
  for await (const { entry } of readTar(bench.blobs.stream(diffIds[0] as string as Digest))) entries.set(entry.path, entry);
  assert.equal(entries.get('tmp')?.mode, 0o1777);
  assert.equal(entries.get('root')?.mode, 0o700);
  assert.equal(entries.get('bin/busybox')?.mode, 0o755);
  for (const path of ['bin/sh', 'bin/ls', 'usr/bin/[', 'usr/bin/env', 'bin/cat'])
    assert.equal(entries.get(path)?.linkTarget, 'bin/busybox', path);
  for (const path of entries.keys())
    if (path.includes('/')) assert.ok(entries.has(path.slice(0, path.lastIndexOf('/'))), `parent of ${path}`);
});

test('embedded hello-world: from a program that is handed in; one that is not static is refused', { skip: noBusybox }, async (context) => {
  const bench = await openBench(context);
  const embedded = createEmbeddedImages(bench.store, { helloWorld: busybox, busybox: null }, host);
  await embedded.ensure('hello-world:latest', () => {});
  assert.deepEqual(bench.catalogue.resolve('hello-world').config.config.Cmd, ['/hello']);
  const dynamic = createEmbeddedImages((await openBench(context)).store, { helloWorld: process.execPath, busybox: null }, host);
  await assert.rejects(
    dynamic.ensure('hello-world', () => {}),
    /is not a statically linked program/,
  );
});
