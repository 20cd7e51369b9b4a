/** What is copied, in which order, and what a layout on the disk keeps; between memory and directories, without a registry. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestHex } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/manifest.ts';
import { type CopyEvent, type CopyOptions, ImageCopy } from './copy-image.ts';
import type { ImageDestination, ImageSource } from './image-place.ts';
import { LayoutPlace } from './layout-place.ts';
import { MemoryPlace } from './testing/memory-place.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };
const arm64 = { os: 'linux', architecture: 'arm64' };
const text = (word: string) => Buffer.from(word.repeat(500));

function copyOf(source: ImageSource, destination: ImageDestination, more: Partial<CopyOptions> = {}) {
  const events: CopyEvent[] = [];
  const options = {
    platform: null,
    referrers: false,
    parallel: 3,
    signal: AbortSignal.timeout(20_000),
    onEvent: (event: CopyEvent) => void events.push(event),
  };
  return { copy: new ImageCopy(source, destination, { ...options, ...more }), events };
}

/** Two platforms with a layer in common, and a signature of the second. */
function multiPlatform() {
  const source = new MemoryPlace();
  const one = source.addImage([text('base'), text('one')]);
  const two = source.addImage([text('base'), text('two')], { variant: 'x' });
  const index = source.addIndex([
    [one, amd64],
    [two, arm64],
  ]);
  source.tagged.set('v1', index.digest);
  const empty = source.addBlob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
  const signature = source.addDocument({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: empty, layers: [], subject: two });
  return { source, one, two, index, signature };
}

function layoutDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-layout-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('ImageCopy: what is named comes before what names it, each once, and nothing that is there', async () => {
  const { source, one, two, index } = multiPlatform();
  const destination = new MemoryPlace();
  const { copy, events } = copyOf(source, destination);
  assert.equal((await copy.copy('v1', 'new')).digest, index.digest);
  assert.equal(new Set(source.opened).size, source.opened.length);
  assert.deepEqual(destination.put.slice(-2), [index.digest, 'new']);
  assert.ok(destination.put.indexOf(one.digest) > destination.put.indexOf(source.opened[0] ?? ''));
  assert.ok(destination.documents.has(two.digest));
  assert.equal(events.filter(({ kind }) => kind === 'blob').length, 5);
  const again = copyOf(source, destination);
  await again.copy.copy('v1', 'newer');
  assert.deepEqual(destination.put.slice(-1), ['newer']);
  assert.deepEqual(
    again.events.map((event) => event.kind === 'manifest' && event.outcome),
    ['exists', 'copied'],
  );
});

test('ImageCopy: one platform becomes what the tag means; one that is not there is refused with those that are', async () => {
  const { source, two } = multiPlatform();
  const destination = new MemoryPlace();
  await copyOf(source, destination, { platform: arm64 }).copy.copy('v1', 'arm');
  assert.equal(destination.tagged.get('arm'), two.digest);
  assert.equal(destination.documents.size, 1);
  await assert.rejects(
    copyOf(source, destination, { platform: { os: 'linux', architecture: 's390x' } }).copy.copy('v1', 'x'),
    /memory has no image for linux\/s390x: there is linux\/amd64, linux\/arm64/,
  );
});

test('ImageCopy: referrers go along when asked for; layers that may not be distributed stay', async () => {
  const { source, signature } = multiPlatform();
  const foreign = { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', digest: signature.digest, size: 5 };
  const config = source.addBlob(Buffer.from('{"a":1}'), mediaTypes.ociConfig);
  const windows = source.addDocument({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [foreign] });
  source.tagged.set('windows', windows.digest);
  const destination = new MemoryPlace();
  await copyOf(source, destination).copy.copy('v1', 'v1');
  assert.equal(destination.documents.has(signature.digest), false);
  await copyOf(source, destination, { referrers: true }).copy.copy('v1', 'v1');
  assert.equal(destination.documents.has(signature.digest), true);
  await copyOf(source, destination).copy.copy('windows', 'windows');
  assert.equal(source.opened.includes(foreign.digest), false);
});

test('LayoutPlace: a copy to a directory and back is the same image, byte for byte, referrers included', async (context) => {
  const { source, index, signature } = multiPlatform();
  source.tagged.set('v2', source.addImage([text('base'), text('three')]).digest);
  const directory = layoutDirectory(context);
  const layout = new LayoutPlace(directory);
  await layout.prepare();
  const out = copyOf(source, layout, { referrers: true }).copy;
  await Promise.all([out.copy('v1', 'v1'), out.copy('v2', 'v2'), out.copy('v2', 'also')]);
  assert.deepEqual(JSON.parse(readFileSync(join(directory, 'oci-layout'), 'utf8')), { imageLayoutVersion: '1.0.0' });
  assert.deepEqual(readdirSync(directory).sort(), ['blobs', 'index.json', 'oci-layout']);
  assert.deepEqual(readdirSync(join(directory, 'blobs')), ['sha256']);
  assert.deepEqual((await all(layout.tags(AbortSignal.timeout(1000)))).sort(), ['also', 'v1', 'v2']);
  const back = new MemoryPlace();
  const home = copyOf(new LayoutPlace(directory), back, { referrers: true }).copy;
  for (const tag of ['v1', 'v2']) await home.copy(tag, tag);
  assert.equal(back.tagged.get('v1'), index.digest);
  assert.ok(back.documents.has(signature.digest));
  for (const [digest, bytes] of back.blobs) assert.deepEqual(source.blobs.get(digest), bytes);
  await assert.rejects(home.copy('v9', 'v9'), /has no image v9: there is .*v1/);
  await assert.rejects(home.copy(null, 'x'), /holds several images: say which one/);
});

test('LayoutPlace: SEC-24 damaged bytes never become a blob, and what was lost is brought again', async (context) => {
  const { source } = multiPlatform();
  const directory = layoutDirectory(context);
  const layout = new LayoutPlace(directory);
  await layout.prepare();
  const [first] = source.blobs.keys();
  assert.ok(first);
  const file = (digest = first) => join(directory, 'blobs/sha256', digestHex(digest));
  for (const wrong of [text('bose'), Buffer.from('short'), Buffer.concat([source.blobs.get(first) ?? Buffer.alloc(0), text('more')])]) {
    source.damaged.set(first, wrong);
    await assert.rejects(copyOf(source, layout).copy.copy('v1', 'v1'), /is damaged|bytes where/);
    assert.equal(readdirSync(join(directory, 'blobs/sha256')).includes(digestHex(first)), false);
  }
  assert.deepEqual(readdirSync(join(directory, 'blobs')), ['sha256']);
  source.damaged.clear();
  await copyOf(source, layout).copy.copy('v1', 'v1');
  rmSync(file());
  await assert.rejects(copyOf(layout, new MemoryPlace()).copy.copy('v1', 'v1'), /the layout is not complete/);
  await copyOf(source, layout).copy.copy('v1', 'v1');
  assert.equal(statSync(file()).size, source.blobs.get(first)?.length);
  writeFileSync(file(), 'x');
  await assert.rejects(copyOf(layout, new MemoryPlace()).copy.copy('v1', 'v1'), /it has 1 bytes where/);
});

test('LayoutPlace: refuses directories that are something else', async (context) => {
  const directory = layoutDirectory(context);
  writeFileSync(join(directory, 'letter.txt'), 'dear');
  await assert.rejects(new LayoutPlace(directory).prepare(), /is not empty and no OCI layout/);
  await assert.rejects(new LayoutPlace(directory).fetch('v1', AbortSignal.timeout(1000)), /is no OCI layout: it has no file oci-layout/);
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"9.0.0"}');
  await assert.rejects(new LayoutPlace(directory).prepare(), /of version "9.0.0"/);
});

async function all(names: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const name of names) found.push(name);
  return found;
}
