import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { ListedFile } from '../../base/file-list.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { digestOf } from '../../oci/digest.ts';
import { writeContextIndex } from '../context/context-index.ts';
import { loadLayoutImage } from './layout-image.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-layout-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf('config'), size: 6 },
  layers: [],
});
const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(manifest), size: manifest.length };
const named = (name: string) => ({ ...descriptor, annotations: { 'org.opencontainers.image.ref.name': name } });
const other = { ...descriptor, digest: digestOf('other') };
const blob = (digest: string) => `blobs/sha256/${digest.slice(7)}`;
let counter = 0;

function load(files: Readonly<Record<string, string>>, reference = '', type: ListedFile['type'] = 'file') {
  const root = join(directory, String(counter++));
  const entries = Object.entries(files).map(([path, content]): ListedFile => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    const common = {
      mode: 0o644,
      modifiedAt: { seconds: 0, nanoseconds: 0 },
      deviceMajor: 0,
      deviceMinor: 0,
      extendedAttributes: new Map(),
    };
    return { ...common, path, type, sizeBytes: content.length, linkTarget: '', digest: digestOf(content).slice(7) };
  });
  writeContextIndex(`${root}.index`, entries);
  // Nothing comes as far as the store.
  const store = {} as ImageStore;
  const platform = { os: 'linux', architecture: 'amd64' };
  return loadLayoutImage(
    store,
    { kind: 'files', directory: root, index: `${root}.index` },
    reference,
    platform,
    new AbortController().signal,
  );
}

const index = (...manifests: readonly unknown[]) => ({ 'index.json': JSON.stringify({ schemaVersion: 2, manifests }) });

test('loadLayoutImage says what is not in the layout', async () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, string, RegExp])[] = [
    [{}, '', /has no file index\.json/],
    [{ 'index.json': 'null' }, '', /./],
    [{ 'index.json': manifest }, '', /is not an index/],
    [index(), '', /has no image : it has none/],
    [index(named('v1')), ':v2', /has no image :v2: it has v1/],
    [index(named('v1')), `@${digestOf('x')}`, /has no image @sha256/],
    [index(named('v1')), 'v1', /is not \[:TAG\]\[@DIGEST\]/],
    [
      index(named('v1'), { ...other, annotations: { 'org.opencontainers.image.ref.name': 'v2' } }),
      '',
      /several images: name one of them.*v1, v2/,
    ],
    [index(named('v1')), ':v1', /has no file blobs\/sha256/],
    [{ ...index(named('v1')), [blob(descriptor.digest)]: 'not the manifest' }, '', /./],
  ];
  for (const [files, reference, pattern] of cases) {
    await assert.rejects(
      load(files, reference),
      (error: Error & { code?: string }) => error.code === 'invalid' && pattern.test(error.message),
      `${JSON.stringify(files).slice(0, 200)} ${reference}`,
    );
  }
});

test('SEC-18 an index of indexes without end, and links in place of files', async () => {
  const loop = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...descriptor, mediaType: 'application/vnd.oci.image.index.v1+json' }],
  });
  const files = { ...index({ ...descriptor, mediaType: 'application/vnd.oci.image.index.v1+json' }), [blob(descriptor.digest)]: loop };
  await assert.rejects(load(files), /nests indexes too deeply/);
  await assert.rejects(load(index(named('v1')), '', 'symbolic-link'), /has no file index\.json/);
});
