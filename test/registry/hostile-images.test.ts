/**
 * SEC-01 … SEC-06, SEC-23, SEC-24, SEC-28 through `pull`: images of a registry that means harm. Each is refused or contained; nothing outside the data root changes, nothing
 * stays, and the daemon answers. The attacks on unpacking have their whole table in test/kernel/extraction.test.ts, ten gigabytes of zeros a row in the soak. Needs root.
 */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { encodeTarHeader } from '../../src/archive/tar-writer.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { engineRequest } from '../faults/engine-request.ts';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { addImage, type LayerEntry, layerTar, noise, platforms } from '../harness/registry-images.ts';
import { imageTraces, inspectImage, partialBlobs, pull, removeImage } from './engine-images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const outside = mkdtempSync(join(tmpdir(), 'gantry-canary-'));
writeFileSync(join(outside, 'file'), 'canary', { mode: 0o640 });
const canary = (): string =>
  readdirSync(outside)
    .map(
      (name) =>
        `${name} ${lstatSync(join(outside, name)).mode} ${lstatSync(join(outside, name)).ctimeMs} ${readFileSync(join(outside, name), 'utf8')}`,
    )
    .join('\n');
const untouched = canary();
after(() => rmSync(outside, { recursive: true, force: true }));

interface HostileLayers {
  readonly layers: readonly (readonly LayerEntry[])[];
  /** Null: it is contained, and the image is there. */
  readonly says: RegExp | null;
}

const file = join(outside, 'file');
const up = '../'.repeat(14);
const link = (path: string, linkTarget: string): LayerEntry => ({ path, linkTarget });
const evil = (path: string): LayerEntry => ({ path, content: 'evil' });
const overlay = new Map([
  ['trusted.overlay.redirect', Buffer.from('/etc')],
  ['trusted.overlay.opaque', Buffer.from('y')],
]);

const hostile: Readonly<Record<string, HostileLayers>> = {
  'SEC-01 a path with ..': { layers: [[evil(`${up}${file.slice(1)}`)]], says: /leads out of it/ },
  'SEC-01 a file through a link of a lower layer': { layers: [[link('way', outside)], [evil('way/file')]], says: null },
  'SEC-01 a hard link to a file of the host': {
    layers: [[{ path: 'h', type: 'hard-link', linkTarget: file }, evil('h')]],
    says: /not there|leads out/,
  },
  'SEC-02 a root that is a link, and a file below it': {
    layers: [[{ path: './', type: 'symbolic-link', linkTarget: outside }], [evil('file')]],
    says: /root|link|directory/i,
  },
  'SEC-03 a hard link through links': {
    layers: [[link('a', 'b'), link('b', outside), { path: 'h', type: 'hard-link', linkTarget: 'a/file' }]],
    says: /not there/,
  },
  'SEC-04 attributes of overlay itself, and whiteouts of nothing': {
    layers: [[{ path: 'd/', extendedAttributes: overlay }, evil('d/f')], [evil('d/.wh..')]],
    says: /whiteout/,
  },
  'SEC-04 devices and setuid files': {
    layers: [
      [
        { path: 'null', type: 'character-device', deviceMajor: 1, deviceMinor: 3 },
        { path: 's', mode: 0o6755, content: 'x' },
      ],
    ],
    says: null,
  },
  'SEC-05 a file that becomes a directory that becomes a link': {
    layers: [[evil('x'), { path: 'x/' }, evil('x/y'), link('x', outside), evil('x/file')]],
    says: null,
  },
};

describe('images that mean harm', { skip }, () => {
  let daemon: GantryDaemon;
  let registry: FaultRegistry;
  /** Another host. */
  let other: FaultRegistry;
  before(async () => {
    [daemon, registry] = await Promise.all([startGantry({ flags: ['--max-download-attempts', '1'] }), startFaultRegistry()]);
    other = await startFaultRegistry({ address: '127.0.0.2' });
  });
  after(async () => {
    await daemon?.dispose();
    await Promise.all([registry?.close(), other?.close()]);
  });

  for (const [name, { layers, says }] of Object.entries(hostile)) {
    test(name, async () => {
      addImage(registry.content, 'hostile', 'latest', { layers: layers.map((entries) => ({ tar: layerTar(...entries) })) });
      await refusedOrContained(says);
    });
  }

  test('SEC-05 a tar that is cut, and one whose sizes are nonsense', async () => {
    const whole = layerTar({ path: 'f', content: noise(5000, 1) });
    const header = encodeTarHeader({ type: 'file', path: 'n', sizeBytes: 5 });
    header.write('80000000000000000000ffff', 124, 'hex');
    for (const tar of [whole.subarray(0, 3000), Buffer.concat([header, whole])]) {
      addImage(registry.content, 'hostile', 'latest', { layers: [{ tar }] });
      await refusedOrContained(/./);
    }
  });

  test('SEC-06 a config of 40 MB, an index of too many entries', async () => {
    const config = registry.content.addBlob(
      Buffer.from(`{"os":"linux","x":"${'x'.repeat(40 << 20)}"}`),
      'application/vnd.oci.image.config.v1+json',
    );
    manifestOf({ config, layers: [] });
    await refusedOrContained(/config|larger|limit/i);
    const entry = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf('x'), size: 1, platform: platforms[1] };
    registry.content.addManifest('hostile', 'latest', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: Array.from({ length: 5000 }, () => entry),
    });
    await refusedOrContained(/5000 entries/);
  });

  test('SEC-23 other diff ids than the layers have, other sizes than the manifest says', async () => {
    const layer = registry.content.addBlob(layerTar(evil('x')), 'application/vnd.oci.image.layer.v1.tar');
    imageOf({ rootfs: { type: 'layers', diff_ids: [digestOf('another')] } }, [layer]);
    await refusedOrContained(/diff|verif|digest/i);
    for (const delta of [-1, 1]) {
      imageOf({ rootfs: { type: 'layers', diff_ids: [layer.digest] } }, [{ ...layer, size: layer.size + delta }]);
      await refusedOrContained(/bytes/);
    }
  });

  test('SEC-24 documents that two readers read differently', async () => {
    const layer = registry.content.addBlob(layerTar(evil('x')), 'application/vnd.oci.image.layer.v1.tar');
    const config = registry.content.addBlob(Buffer.from('{"os":"linux"}'), 'application/vnd.oci.image.config.v1+json');
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const document = { schemaVersion: 2, mediaType, config, layers: [layer] };
    const text = JSON.stringify(document);
    const texts: readonly (readonly [string, RegExp])[] = [
      [JSON.stringify({ ...document, manifests: [] }), /both manifests and layers/],
      [text.replace('"layers"', '"layers":[],"layers"'), /twice/],
      [text.replace('"layers"', '"Layers":[],"layers"'), /only by case/],
      [text.replace(mediaType, 'application/vnd.oci.image.index.v1+json'), /announced|says it is|fields of its media type/],
    ];
    for (const [bytes, says] of texts) {
      registry.content.addManifest('hostile', 'latest', Buffer.from(bytes), mediaType);
      await refusedOrContained(says);
    }
  });

  test('SEC-28 a foreign layer on a private address is not fetched, nor one that is no foreign layer; no password goes there', async () => {
    const tar = layerTar(evil('foreign'));
    const there = other.content.addBlob(tar);
    const auth = { username: 'victim', password: 'secret-of-victim' };
    for (const mediaType of ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'application/vnd.oci.image.layer.v1.tar']) {
      const layer = { mediaType, digest: there.digest, size: there.size, urls: [`${other.url}/v2/x/blobs/${there.digest}`] };
      imageOf({ rootfs: { type: 'layers', diff_ids: [digestOf(tar)] } }, [layer]);
      const { error } = await pull(daemon.host, hostileName(), { auth });
      assert.notEqual(error, null);
      await nothingStays();
    }
    assert.deepEqual(other.requests, []);
  });

  test('SEC-28 a realm on another host gets no password', async (context) => {
    const guarded = await startFaultRegistry({
      auth: { scheme: 'bearer', users: { victim: 'secret-of-victim' }, realm: `${other.url}/token` },
    });
    context.after(() => guarded.close());
    addImage(guarded.content, 'x', 'latest', { layers: [{ tar: layerTar(evil('x')) }] });
    const { error } = await pull(daemon.host, `${guarded.host}/x:latest`, { auth: { username: 'victim', password: 'secret-of-victim' } });
    assert.notEqual(error, null);
    assert.doesNotMatch(error ?? '', /secret-of-victim/);
    assert.deepEqual(other.requestsWith(['secret-of-victim']), []);
    assert.doesNotMatch(daemon.log(), /secret-of-victim/);
  });

  async function refusedOrContained(says: RegExp | null): Promise<void> {
    const { error } = await pull(daemon.host, hostileName());
    if (says === null) assert.equal(error, null);
    else assert.match(error ?? 'it succeeded', says);
    if (error === null) await removeImage(daemon.host, hostileName());
    assert.equal(canary(), untouched, 'the canary was touched');
    assert.equal((await engineRequest(daemon.host, 'GET', '/_ping'))?.status, 200);
    assert.equal(statSync(daemon.dataRoot).mode & 0o077 & 0o066, 0, 'others can look into the data root');
    await nothingStays();
  }

  async function nothingStays(): Promise<void> {
    assert.equal(await inspectImage(daemon.host, hostileName()), null);
    assert.deepEqual(await imageTraces(daemon), []);
    // What was fetched rightly may be gone on with.
    await engineRequest(daemon.host, 'POST', `/images/prune?filters=${encodeURIComponent('{"dangling":{"false":true}}')}`);
    assert.deepEqual(partialBlobs(daemon), []);
    assert.equal(existsSync(join(outside, 'evil')), false);
  }

  function hostileName(): string {
    return `${registry.host}/hostile:latest`;
  }

  function imageOf(config: object, layers: readonly object[]): void {
    const bytes = Buffer.from(
      JSON.stringify({ ...platforms[0], architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', config: {}, ...config }),
    );
    manifestOf({ config: registry.content.addBlob(bytes, 'application/vnd.oci.image.config.v1+json'), layers });
  }

  function manifestOf(parts: object): void {
    registry.content.addManifest('hostile', 'latest', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      ...parts,
    });
  }
});
