import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { Digest } from '../../base/brand.ts';
import { findPackages } from './find-packages.ts';
import { type FoundPackage, packageUrl } from './found-package.ts';
import { apkPackages, dpkgPackages, npmPackage, parseOsRelease, pythonPackage } from './package-databases.ts';
import { createPackageThreads } from './package-threads.ts';
import { type ProvenanceInput, provenancePredicate } from './provenance.ts';
import { spdxDocument } from './spdx.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-attest-'));
after(() => rmSync(folder, { recursive: true }));

const status = `Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Version: 2.36-9+deb12u9
Description: GNU C Library
 Package: not-one

Package: gone
Status: deinstall ok config-files
Version: 1
`;

function layer(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(folder, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const lower = () =>
  layer('lower', {
    'etc/os-release': 'ID=debian\nVERSION_ID="12"\n',
    'var/lib/dpkg/status': status,
    'app/node_modules/left/package.json': '{"name":"left","version":"1.0.0","license":"MIT"}',
    'app/node_modules/left/lib/package.json': '{"type":"module","name":"inner","version":"9"}',
  });
const upper = () =>
  layer('upper', {
    'app/node_modules/left/package.json': '{"name":"left","version":"2.0.0","license":"MIT OR Apache-2.0"}',
    'app/node_modules/@scope/tool/package.json': '{"name":"@scope/tool","version":"3.1.0"}',
    'usr/lib/python3/dist-packages/Some_Lib-1.2.dist-info/METADATA': 'Metadata-Version: 2.1\nName: Some_Lib\nVersion: 1.2\n\nName: text\n',
  });

test('packages: the topmost layer counts, and only what is installed', () => {
  const found = findPackages({ kind: 'find-packages', directories: [upper(), lower()] }, () => {});
  assert.deepEqual(
    found.map(({ purl }) => purl),
    [
      'pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12',
      'pkg:npm/%40scope/tool@3.1.0',
      'pkg:npm/left@2.0.0',
      'pkg:pypi/some-lib@1.2',
    ],
  );
});

test('packages: links lead nowhere, and nothing of the host is read', () => {
  const outside = layer('outside', { 'node_modules/host/package.json': '{"name":"host","version":"1"}', status });
  const root = layer('linked', { 'app/file': '' });
  symlinkSync(join(outside, 'node_modules'), join(root, 'app/node_modules'));
  mkdirSync(join(root, 'var/lib/dpkg'), { recursive: true });
  symlinkSync(join(outside, 'status'), join(root, 'var/lib/dpkg/status'));
  assert.deepEqual(
    findPackages({ kind: 'find-packages', directories: [root] }, () => {}),
    [],
  );
});

test('packages: found in a thread, and given up when asked to', async () => {
  const threads = createPackageThreads();
  try {
    const found = await threads.find([upper(), lower()], new AbortController().signal);
    assert.equal(found.length, 4);
    await assert.rejects(threads.find([lower()], AbortSignal.abort(new Error('enough'))), /enough/);
  } finally {
    await threads.close();
  }
});

test('package databases: apk, and what is malformed', () => {
  const installed = 'C:Q1x\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nF:lib\nR:ld\n\nP:half\n';
  const [musl, ...others] = apkPackages(installed, '/lib/apk/db/installed', { id: 'alpine', version: '3.18' });
  assert.equal(musl?.purl, 'pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18');
  assert.deepEqual(others, []);
  assert.equal(npmPackage('{', ''), null);
  assert.equal(npmPackage('[]', ''), null);
  assert.equal(npmPackage('{"name":7}', ''), null);
  assert.equal(pythonPackage('nothing', ''), null);
  assert.deepEqual(dpkgPackages('\n\n:\n', '', parseOsRelease('garbage')), []);
});

test('spdx: the same packages give the same document, and only license expressions are declared', () => {
  const found: FoundPackage = {
    type: 'npm',
    name: 'left',
    version: '1',
    license: 'MIT OR Apache-2.0',
    supplier: '',
    purl: packageUrl('npm', '', 'left', '1'),
    path: '/a',
  };
  const odd: FoundPackage = { ...found, name: 'odd', license: 'see LICENSE file!', purl: packageUrl('npm', '', 'odd', '1') };
  const document = () => spdxDocument([found, odd], { name: 'app', epoch: 0, tool: 'gantry-1' });
  assert.deepEqual(document(), document());
  const { packages, creationInfo } = document() as {
    packages: readonly { licenseDeclared?: string; SPDXID: string }[];
    creationInfo: object;
  };
  assert.deepEqual(
    packages.map(({ licenseDeclared }) => licenseDeclared),
    [undefined, 'MIT OR Apache-2.0', 'NOASSERTION'],
  );
  assert.deepEqual(creationInfo, { created: '1970-01-01T00:00:00Z', creators: ['Tool: gantry-1'] });
  assert.ok(packages.every(({ SPDXID }) => /^SPDXRef-[A-Za-z0-9.-]+$/.test(SPDXID)));
});

test('provenance: values of build arguments with max only', () => {
  const input: ProvenanceInput = {
    mode: 'min',
    builder: 'gantry/1',
    source: null,
    dockerfilePath: 'Dockerfile',
    dockerfile: 'FROM busybox\n',
    target: null,
    buildArguments: new Map([['V', 'canary']]),
    labels: new Map(),
    secrets: ['npmrc'],
    platform: 'linux/amd64',
    images: [{ reference: 'docker.io/library/busybox:1.36', platform: 'linux/amd64', digest: `sha256:${'a'.repeat(64)}` as Digest }],
    downloads: [],
    steps: [],
  };
  assert.doesNotMatch(JSON.stringify(provenancePredicate(input)), /canary/);
  assert.match(JSON.stringify(provenancePredicate({ ...input, mode: 'max' })), /canary/);
  assert.match(JSON.stringify(provenancePredicate(input)), /pkg:docker\/library\/busybox@1\.36\?platform=linux%2Famd64/);
});
