import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import { digestOf } from './digest.ts';
import { parseImageConfig } from './image-config.ts';
import { parseJson, parseJsonObject } from './json.ts';
import { encodeManifest, mediaTypes, parseManifest } from './manifest.ts';
import { choosePlatform, formatPlatform, hostPlatform, parsePlatform, runsOn } from './platform.ts';

const digest = digestOf('x');
const config = { mediaType: mediaTypes.ociConfig, digest, size: 1 };
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

test('parseManifest: OCI without mediaType, Docker with; index and manifest list', () => {
  const oci = parseManifest(bytes({ schemaVersion: 2, config, layers: [] }), null);
  assert.equal(oci.kind === 'manifest' && oci.mediaType, mediaTypes.ociManifest);
  const docker = parseManifest(
    bytes({ schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config, layers: [config] }),
    mediaTypes.dockerManifest,
  );
  assert.equal(docker.kind === 'manifest' && docker.layers.length, 1);
  const list = parseManifest(
    bytes({
      schemaVersion: 2,
      mediaType: mediaTypes.dockerIndex,
      manifests: [{ ...config, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }],
    }),
    null,
  );
  assert.deepEqual(list.kind === 'index' && list.manifests[0]?.platform, { os: 'linux', architecture: 'arm', variant: 'v7' });
});

test('encodeManifest: fixed bytes, read back equal', () => {
  const encoded = encodeManifest(config, [{ ...config, annotations: { dropped: 'x' } }]);
  assert.equal(
    encoded.toString(),
    `{"schemaVersion":2,"mediaType":"${mediaTypes.ociManifest}","config":${JSON.stringify(config)},"layers":[${JSON.stringify(config)}]}`,
  );
  const parsed = parseManifest(encoded, mediaTypes.ociManifest);
  assert.deepEqual(parsed.kind === 'manifest' && parsed.layers, [config]);
});

test('SEC-24 parseManifest: what two readers would read differently is refused', () => {
  const good = { schemaVersion: 2, config, layers: [] };
  const cases: readonly (readonly [unknown, string | null, RegExp])[] = [
    [{ ...good, manifests: [] }, null, /both manifests and layers/],
    [{ schemaVersion: 2, config, manifests: [] }, null, /both manifests and layers/],
    [{ ...good, mediaType: mediaTypes.ociIndex }, null, /does not have the fields/],
    [{ ...good, mediaType: mediaTypes.ociManifest }, mediaTypes.dockerManifest, /was announced as/],
    [good, mediaTypes.ociIndex, /does not have the fields/],
    [{ ...good, mediaType: 'text/plain' }, null, /text\/plain is not supported/],
    [{ ...good, Config: config }, null, /differs from "config" only by case/],
    [{ ...good, layerſ: [] }, null, /differs from "layers" only by case/],
    ['{"schemaVersion":2,"config":{},"layers":[],"layers":[]}', null, /"layers" twice/],
    ['{"schemaVersion":2,"config":{},"layers":[],"l\\u0061yers":[]}', null, /"layers" twice/],
    [{ ...good, config: { ...config, Digest: digest } }, null, /differs from "digest" only by case/],
    [{ ...good, config: { ...config, digest: `sha512:${'a'.repeat(128)}` } }, null, /sha512 is not supported/],
    [{ ...good, config: { ...config, digest: digest.toUpperCase() } }, null, /not supported|not a sha256 digest/],
    [{ ...good, config: { ...config, size: -1 } }, null, /no valid size/],
    [{ ...good, config: { ...config, size: 2 ** 60 } }, null, /no valid size/],
    [{ ...good, config: null }, null, /not a descriptor/],
    [{ ...good, layers: {} }, null, /not a list/],
    [{ schemaVersion: 2, layers: [] }, null, /no config/],
    [{ ...good, schemaVersion: 1 }, null, /schema 1, which is not supported/],
    [[], null, /not a JSON object/],
    ['{', null, /not valid JSON/],
    [Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'), null, /not valid JSON/],
    [{ ...good, layers: Array.from({ length: 1025 }, () => config) }, null, /more than 1024/],
  ];
  for (const [document, announced, message] of cases) {
    assert.throws(
      () => parseManifest(bytes(document), announced),
      (thrown: Error) => {
        assert.ok(thrown instanceof EngineError && thrown.code === 'invalid', `${JSON.stringify(document)}: ${thrown}`);
        assert.match(thrown.message, message);
        return true;
      },
    );
  }
  assert.throws(() => parseManifest(Buffer.alloc(5 << 20, 0x20), null), /larger than/);
});

test('parseJson: nesting is limited, long documents are read', () => {
  assert.throws(() => parseJson(bytes(`${'['.repeat(100_000)}${']'.repeat(100_000)}`), 'x'), /more than 64 levels/);
  assert.deepEqual(parseJson(bytes('[{"a":{"a":1}},{"a":"\\"a\\":"}]'), 'x'), [{ a: { a: 1 } }, { a: '"a":' }]);
});

test('property: parseJson agrees with JSON.parse on everything JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) =>
      assert.deepEqual(parseJson(bytes(JSON.stringify(value)), 'x'), JSON.parse(JSON.stringify(value))),
    ),
  );
});

test('parseImageConfig: nulls are absent, defaults of old images, labels of any name', () => {
  const parsed = parseImageConfig(
    bytes(`{"rootfs":{"type":"layers","diff_ids":null},"config":{"Cmd":null,"Env":["A=1"],"Labels":{"__proto__":"p","A":"1","a":"2"},
      "ExposedPorts":{"80/tcp":{}},"Volumes":null,"Healthcheck":{"Test":["NONE"],"Interval":30000000000},"Image":"x","Tty":false},"history":[{"empty_layer":true},{}]}`),
  );
  assert.equal(parsed.architecture, 'amd64');
  assert.equal(parsed.os, 'linux');
  assert.equal('Cmd' in parsed.config, false);
  assert.deepEqual(Object.entries(parsed.config.Labels ?? {}), [
    ['__proto__', 'p'],
    ['A', '1'],
    ['a', '2'],
  ]);
  assert.deepEqual(parsed.config.Healthcheck, { Test: ['NONE'], Interval: 30e9 });
  assert.deepEqual(parsed.history, [{ empty_layer: true }, {}]);
  assert.equal(Object.getPrototypeOf({}).p, undefined);
});

test('parseImageConfig: wrong types are refused by field', () => {
  const rootfs = { type: 'layers', diff_ids: [] };
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{}, /no rootfs/],
    [{ rootfs: { type: 'windows' } }, /rootfs type "windows"/],
    [{ rootfs: { type: 'layers', diff_ids: ['x'] } }, /diff_ids\[0\]/],
    [{ rootfs, config: [] }, /config is not an object/],
    [{ rootfs, config: { Cmd: 'sh' } }, /Cmd is not a list of strings/],
    [{ rootfs, config: { Cmd: [1] } }, /Cmd is not a list of strings/],
    [{ rootfs, config: { Labels: { a: 1 } } }, /Labels holds a value/],
    [{ rootfs, config: { User: 1 } }, /User is not a string/],
    [{ rootfs, config: { cmd: [] } }, /differs from "Cmd" only by case/],
    [{ rootfs, history: {} }, /history is not a list/],
    [{ rootfs, Config: {} }, /differs from "config" only by case/],
  ];
  for (const [document, message] of cases) assert.throws(() => parseImageConfig(bytes(document)), { code: 'invalid', message });
  assert.throws(() => parseImageConfig(Buffer.alloc((8 << 20) + 1, 0x20)), /larger than/);
});

test('parseJsonObject: __proto__ as a key of a document stays its own key', () => {
  assert.deepEqual(Object.keys(parseJsonObject(bytes('{"__proto__":{"x":1},"a":2}'), 'x')), ['__proto__', 'a']);
});

test('platform: names, variants, choice', () => {
  const arm = parsePlatform('linux/arm/v7');
  assert.deepEqual(parsePlatform('x86_64'), { os: 'linux', architecture: 'amd64' });
  assert.deepEqual(parsePlatform('linux/aarch64/v8'), { os: 'linux', architecture: 'arm64' });
  assert.deepEqual(hostPlatform('x64'), { os: 'linux', architecture: 'amd64' });
  assert.equal(formatPlatform(arm), 'linux/arm/v7');
  assert.throws(() => parsePlatform('linux/amd64/v1/x'), /invalid platform/);
  assert.throws(() => parsePlatform('linux/$x'), /invalid platform/);
  assert.equal(runsOn(parsePlatform('linux/arm/v6'), arm), true);
  assert.equal(runsOn(arm, parsePlatform('linux/arm/v6')), false);
  assert.equal(runsOn(parsePlatform('linux/amd64/v3'), parsePlatform('linux/amd64')), false);
  assert.equal(runsOn(parsePlatform('windows/amd64'), parsePlatform('linux/amd64')), false);
  const entries = ['linux/arm/v5', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm64'].map((text) => ({ platform: parsePlatform(text) }));
  assert.equal(choosePlatform(entries, arm), entries[1]);
  assert.equal(choosePlatform(entries, parsePlatform('linux/amd64')), null);
});
