import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry } from './exporters.ts';
import { planSolve, type SolveSource } from './frontend-options.ts';

function plan(options: Readonly<Record<string, string>>, more: Partial<SolveSource> = {}) {
  const source = {
    ref: 'r',
    frontend: 'dockerfile.v0',
    exporters: [],
    cacheImports: [],
    cacheExports: [],
    entitlements: [],
    inputs: new Map(),
  };
  return planSolve({ ...source, options: new Map(Object.entries(options)), ...more });
}

const entry = (type: string, attributes: Readonly<Record<string, string>> = {}): Entry => ({
  type,
  attributes: new Map(Object.entries(attributes)),
});

test('what buildx sends for its flags', () => {
  const { request, dockerfile } = plan(
    {
      filename: 'sub/Dockerfile.dev',
      target: 'prod',
      platform: 'linux/amd64,linux/arm/v7',
      'no-cache': 'One,two',
      'image-resolve-mode': 'pull',
      'add-hosts': 'a=1.2.3.4,b=[::1],c=host-gateway',
      'force-network-mode': 'host',
      'cgroup-parent': '/x',
      'shm-size': '1048576',
      ulimit: 'nofile=10:20,core=-1:-1,nproc=5',
      'attest:provenance': 'mode=max',
      'attest:sbom': '',
      unknown: 'is ignored',
    },
    { entitlements: ['network.host'] },
  );
  assert.deepEqual(dockerfile, { folder: 'dockerfile', path: 'sub/Dockerfile.dev' });
  assert.deepEqual([request.target, request.pull, request.noCache], ['prod', true, ['one', 'two']]);
  assert.deepEqual(request.platforms, [
    { os: 'linux', architecture: 'amd64' },
    { os: 'linux', architecture: 'arm', variant: 'v7' },
  ]);
  assert.deepEqual(request.run.extraHosts, ['a:1.2.3.4', 'b:::1', 'c:host-gateway']);
  assert.deepEqual([request.run.network, request.run.cgroupParent, request.run.shmSizeBytes], ['host', '/x', 1048576]);
  assert.deepEqual(request.run.ulimits, [
    { name: 'nofile', soft: 10, hard: 20 },
    { name: 'core', soft: -1, hard: -1 },
    { name: 'nproc', soft: 5, hard: 5 },
  ]);
  assert.deepEqual([request.provenance, request.sbom, [...request.entitlements]], ['max', true, ['network.host']]);
});

test('attestations that a client adds by itself, or takes back, are not asked for', () => {
  assert.equal(plan({ 'attest:provenance': 'mode=min,inline-only=true' }).request.provenance, null);
  assert.equal(plan({ 'attest:provenance': 'disabled=true' }).request.provenance, null);
  assert.equal(plan({ 'attest:provenance': '' }).request.provenance, 'min');
});

test('where contexts and the Dockerfile are', () => {
  const folder = plan({});
  assert.deepEqual(
    [folder.request.context, folder.contexts.get('context')],
    [
      { kind: 'client', name: 'context' },
      { kind: 'folder', folder: 'context', session: null },
    ],
  );
  const git = plan({ context: 'https://h.example/p.git#main' });
  assert.deepEqual([git.request.context, git.dockerfile], [{ kind: 'git', url: 'https://h.example/p.git#main' }, null]);
  const withFile = plan({ context: 'https://h.example/x.tar', dockerfilekey: 'dockerfile', filename: 'Dockerfile' });
  assert.deepEqual([withFile.request.context.kind, withFile.dockerfile?.folder], ['http', 'dockerfile']);
  const upload = plan({ context: 'http://buildkit-session/a/b' });
  assert.deepEqual(upload.contexts.get('context'), { kind: 'upload', host: 'buildkit-session', path: '/a/b' });
  const digest = `sha256:${'a'.repeat(64)}`;
  const named = plan(
    {
      'context:dir': 'local:one',
      'local-sessionid:one': 's2',
      'context:img::linux/arm64': 'docker-image://alpine:3@sha256:x',
      'context:oci': `oci-layout://store@${digest}`,
      'context:base': 'input:b',
    },
    { inputs: new Map([['b', 'sha256:image']]) },
  );
  assert.deepEqual(named.contexts.get('context:dir'), { kind: 'folder', folder: 'one', session: 's2' });
  assert.deepEqual(named.contexts.get('context:oci'), { kind: 'layout', store: 'oci:store', digest });
  assert.deepEqual(
    [...named.request.namedContexts.values()],
    [
      { kind: 'client', name: 'context:dir' },
      { kind: 'image', reference: 'alpine:3@sha256:x' },
      { kind: 'oci-layout', name: 'context:oci', reference: `@${digest}` },
      { kind: 'image', reference: 'sha256:image' },
    ],
  );
});

test('outputs and caches', () => {
  const { request, outputs } = plan(
    {},
    {
      exporters: [
        entry('moby', { name: 'a,b:2', push: 'true', compression: 'zstd', 'compression-level': '3', 'annotation.k': 'v' }),
        entry('local', { 'platform-split': 'false' }),
        entry('oci', { tar: 'false' }),
      ],
      cacheImports: [entry('registry', { ref: 'c' }), entry('local', { src: '/s', digest: 'd' })],
      cacheExports: [entry('registry', { ref: 'c', mode: 'max', 'ignore-error': 'true' }), entry('inline')],
    },
  );
  assert.deepEqual(outputs, [null, 'folder', 'layout']);
  const [image, local, oci] = request.outputs;
  assert.deepEqual([image?.type, image?.names, image?.push], ['image', ['docker.io/library/a:latest', 'docker.io/library/b:2'], true]);
  assert.deepEqual(
    [image?.compression, [...(image?.annotations ?? [])]],
    [{ kind: 'zstd', level: 3, force: false }, [['annotation.k', 'v']]],
  );
  assert.deepEqual([local?.clientOutput, local?.platformSplit, oci?.clientOutput, oci?.unpacked], [1, false, 2, true]);
  assert.deepEqual(
    request.cacheFrom.map(({ type, reference, client, ignoreErrors }) => [type, reference ?? client, ignoreErrors]),
    [
      ['registry', 'docker.io/library/c:latest', true],
      ['local', 'local:/s', true],
    ],
  );
  assert.deepEqual(
    request.cacheTo.map(({ type, mode, ignoreErrors }) => [type, mode, ignoreErrors]),
    [
      ['registry', 'max', true],
      ['inline', 'min', false],
    ],
  );
  const old = plan({ 'cache-imports': '[{"Type":"registry","Attrs":{"ref":"x"}}]' }, { cacheImports: [entry('registry', { ref: 'x' })] });
  assert.equal(old.request.cacheFrom.length, 1);
});

const refused: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['another frontend', () => plan({}, { frontend: 'mine.v1' }), /mine\.v1/],
  ['an image as frontend', () => plan({ source: 'evil/docker/dockerfile' }, { frontend: 'gateway.v0' }), /evil/],
  ['a capability', () => plan({ 'frontend.caps': 'moby.buildkit.frontend.magic' }), /unsupported frontend capability/],
  ['a request', () => plan({ requestid: 'frontend.__proto__' }), /unsupported request/],
  ['a network', () => plan({ 'force-network-mode': 'mine' }), /invalid network mode/],
  ['a number', () => plan({ 'shm-size': '1g' }), /shm-size: "1g" is not a whole number/],
  ['a host', () => plan({ 'add-hosts': 'x' }), /add-hosts/],
  ['an ulimit', () => plan({ ulimit: 'nofile' }), /invalid ulimit/],
  ['a context', () => plan({ 'context:x': 'ftp://x' }), /invalid build context "ftp:\/\/x"/],
  ['an exporter', () => plan({}, { exporters: [entry('constructor')] }), /exporter "constructor" could not be found/],
  ['push by digest', () => plan({}, { exporters: [entry('image', { 'push-by-digest': '1' })] }), /push-by-digest/],
  ['a cache elsewhere', () => plan({}, { cacheExports: [entry('gha')] }), /--cache-to type=gha/],
  ['an attestation', () => plan({ 'attest:magic': '' }), /unknown attestation type "magic"/],
];
for (const [what, make, words] of refused) test(`refused by name: ${what}`, () => assert.throws(make, words));
