import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiffId } from '../../base/brand.ts';
import type { Selection } from '../files/layer-work.ts';
import type { CopyInput, CopyOperation, Operation, RunMount, RunOperation } from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';
import type { CacheKey, KeyRequest } from './build-cache.ts';
import { cacheKeyOf } from './cache-key.ts';
import { changesBetween } from './explain-step.ts';

const base: Operation = { kind: 'scratch' };
const context: Operation = { kind: 'context', name: '' };
const step = { title: '[2/2] RUN make', place: { from: 1, to: 1 } as never };

function tree(name: string): Tree {
  return { kind: 'tree', identity: name, layers: [{ diffId: `sha256:${name}` as DiffId, directory: `d-${name}`, sizeBytes: 1 }] };
}

const run: RunOperation = {
  kind: 'run',
  step: { ...step, argumentNames: ['V', 'API_TOKEN'] },
  parent: base,
  epoch: 0,
  argv: ['/bin/sh', '-c', 'make'],
  environment: ['PATH=/bin', 'V=1'],
  hiddenEnvironment: [],
  cwd: '/',
  user: '',
  platform: { os: 'linux', architecture: 'amd64' },
  mounts: [],
  network: 'default',
  security: 'sandbox',
  devices: [],
  scripts: [],
};

const path: CopyInput = { kind: 'path', from: context, pattern: 'src', unpack: false };

const copy: CopyOperation = {
  kind: 'copy',
  step,
  parent: base,
  epoch: 0,
  sources: [path],
  destination: '/app/',
  owner: null,
  mode: null,
  excludes: [],
  parents: false,
  link: false,
};

function selection(files: Record<string, string>): Selection {
  return {
    digest: JSON.stringify(files),
    entries: Object.entries(files).map(([name, digest]) => ({ path: name, digest })),
    isEmpty: Object.keys(files).length === 0,
  };
}

function keyOf(operation: Operation, given: Partial<KeyRequest> = {}): CacheKey {
  const inputs = new Map<Operation, OperationResult>([[base, tree('base')]]);
  const selections = operation.kind === 'copy' ? [selection({ 'src/a': '1' })] : [];
  const key = cacheKeyOf({ operation, inputs, selections, environment: '', place: 'p', ...given });
  assert.ok(key);
  return key;
}

function changes(before: CacheKey, now: CacheKey): readonly string[] {
  if (before.digest === now.digest) return [];
  const said = changesBetween(before.parts, now.parts);
  assert.notDeepEqual(said, []);
  return said;
}

test('cacheKeyOf: images, contexts and scratch are not cached', () => {
  const image: Operation = { kind: 'image', reference: 'a', platform: run.platform, layers: [] };
  for (const operation of [base, context, image])
    assert.equal(cacheKeyOf({ operation, inputs: new Map(), selections: [], environment: '', place: '' }), null);
});

test('cacheKeyOf: RUN counts its command, environment, directory, user, network and what it stands on', () => {
  const cases: readonly [Partial<RunOperation>, readonly string[]][] = [
    [{ argv: ['/bin/sh', '-c', 'make all'] }, ['the instruction changed']],
    [{ environment: ['PATH=/bin', 'V=2'] }, ['build argument V is "2", was "1"']],
    [{ environment: ['PATH=/bin'] }, ['build argument V is not set any more, was "1"']],
    [
      { environment: ['PATH=/usr/bin', 'V=1', 'NEW=x'] },
      ['environment variable PATH is "/usr/bin", was "/bin"', 'environment variable NEW is "x", was not set'],
    ],
    [{ cwd: '/w' }, ['the working directory is "/w", was "/"']],
    [{ user: 'app' }, ['the user is "app", was ""']],
    [{ network: 'none' }, ['the network is "none", was "default"']],
    [{ security: 'insecure' }, ['the security mode is "insecure", was "sandbox"']],
    [{ epoch: 7 }, ['the time given to files is 7, was 0']],
    [{ platform: { os: 'linux', architecture: 'arm64' } }, ['the platform is "linux/arm64", was "linux/amd64"']],
    [{ mounts: [{ type: 'tmpfs', target: '/t', sizeBytes: null }] }, ['its mounts changed']],
    [{ devices: [{ name: 'a/b=c', required: true }] }, ['its devices changed']],
    [{ hiddenEnvironment: ['HTTP_PROXY=http://p'] }, []],
    [{ step: { ...run.step, title: '[3/3] RUN make' } }, []],
  ];
  for (const [change, said] of cases) assert.deepEqual(changes(keyOf(run), keyOf({ ...run, ...change })), said);
});

test('cacheKeyOf: RUN counts the settings of the build and the tree below', () => {
  assert.match(changes(keyOf(run), keyOf(run, { environment: 'hosts: db' })).join(), /settings of the build/);
  const other = keyOf(run, { inputs: new Map([[base, tree('other')]]) });
  assert.deepEqual(changes(keyOf(run), other), ['the step before it changed']);
  assert.equal(other.below, 'sha256:other');
});

test('SEC-21 cacheKeyOf: other content below is a miss, whatever the image says of itself; scratch is content too', () => {
  const on = (identity: string) => keyOf(run, { inputs: new Map([[base, tree(identity)]]) }).digest;
  assert.equal(new Set([on('pulled'), on('forged'), on('')]).size, 3);
  // History, HEALTHCHECK and ONBUILD are no part of any key: there is no way for them into a request.
  assert.equal(on('pulled'), on('pulled'));
});

test('cacheKeyOf: neither what a cache mount is called nor how it is shared counts, nor where a bind mount is from', () => {
  const cache: RunMount = {
    type: 'cache',
    target: '/c',
    id: 'a',
    sharing: 'shared',
    from: null,
    source: '',
    writable: true,
    mode: 0o755,
    uid: 0,
    gid: 0,
  };
  assert.deepEqual(changes(keyOf({ ...run, mounts: [cache] }), keyOf({ ...run, mounts: [{ ...cache, id: 'b', sharing: 'locked' }] })), []);
  const bind: RunMount = { type: 'bind', target: '/b', from: context, source: 'x', writable: false };
  const content = { selections: [selection({ f: '1' })] };
  assert.equal(
    keyOf({ ...run, mounts: [bind] }, content).digest,
    keyOf({ ...run, mounts: [{ ...bind, from: base, source: 'y' }] }, content).digest,
  );
  const changed = keyOf({ ...run, mounts: [bind] }, { selections: [selection({ f: '2' })] });
  assert.deepEqual(changes(keyOf({ ...run, mounts: [bind] }, content), changed), ['f changed']);
  assert.throws(() => keyOf({ ...run, mounts: [bind] }), /needs the content of each/);
});

test('cacheKeyOf: SEC-19 values of arguments that look secret, and addresses with passwords, show as digests only', () => {
  const secret = (token: string, index: string) =>
    keyOf({ ...run, environment: [`API_TOKEN=${token}`, `PIP_INDEX_URL=https://u:${index}@h/`] });
  const [one, two] = [secret('hunter2', 'pass-1'), secret('hunter3', 'pass-2')];
  assert.deepEqual(changes(one, two), ['build argument API_TOKEN changed', 'environment variable PIP_INDEX_URL changed']);
  assert.doesNotMatch(JSON.stringify([...one.parts]), /hunter|pass-/);
});

test('cacheKeyOf: COPY counts what it selects by content, its names, and how it is put there', () => {
  const cases: readonly [Partial<CopyOperation>, boolean][] = [
    [{ destination: '/app2/' }, true],
    [{ owner: 'app' }, true],
    [{ mode: { kind: 'octal', mode: 0o755 } }, true],
    [{ excludes: ['*.md'] }, true],
    [{ parents: true }, true],
    [{ epoch: 1 }, true],
    [{ sources: [{ ...path, pattern: './src/' }] }, false],
    [{ sources: [{ ...path, pattern: 'other/src' }] }, false],
    [{ sources: [{ ...path, pattern: 'lib' }] }, true],
    [{ sources: [{ ...path, unpack: true }] }, true],
  ];
  for (const [change, isOther] of cases)
    assert.equal(keyOf({ ...copy, ...change }).digest !== keyOf(copy).digest, isOther, JSON.stringify(change));
});

test('cacheKeyOf: with --link nothing below counts', () => {
  const inputs = new Map([[base, tree('other')]]);
  assert.notEqual(keyOf(copy, { inputs }).digest, keyOf(copy).digest);
  assert.equal(keyOf({ ...copy, link: true }, { inputs }).digest, keyOf({ ...copy, link: true }).digest);
  assert.equal(keyOf({ ...copy, link: true }).below, null);
});

test('cacheKeyOf: files of a COPY are told by name', () => {
  const at = (files: Record<string, string>) => keyOf(copy, { selections: [selection(files)] });
  const said = changes(at({ 'src/app.ts': '1', 'src/old.ts': '1', same: '1' }), at({ 'src/app.ts': '2', 'src/new.ts': '1', same: '1' }));
  assert.deepEqual([...said].sort(), ['src/app.ts changed', 'src/new.ts is new', 'src/old.ts is gone']);
  const many = Object.fromEntries(Array.from({ length: 14 }, (_, index) => [`f${index}`, 'x']));
  assert.equal(changes(at({}), at(many)).at(-1), '4 more files changed');
  const [one, two] = ['1', '2'].map((digest) => keyOf(copy, { selections: [{ digest, entries: [], isEmpty: false }] }));
  assert.deepEqual(one && two && changes(one, two), ['its files changed']);
});

test('cacheKeyOf: something fetched counts by its checksum or content; without either it is not cached', () => {
  const url: CopyInput = { kind: 'url', url: 'https://h/f', checksum: null, unpack: false };
  const request = { inputs: new Map([[base, tree('base')]]), environment: '', place: 'p' };
  assert.equal(cacheKeyOf({ ...request, operation: { ...copy, sources: [url] }, selections: [null] }), null);
  assert.ok(cacheKeyOf({ ...request, operation: { ...copy, sources: [{ ...url, checksum: 'sha256:1' }] }, selections: [null] }));
  assert.ok(cacheKeyOf({ ...request, operation: { ...copy, sources: [url] }, selections: [selection({ f: '1' })] }));
});

test('cacheKeyOf: addresses of what was fetched are told without credentials', () => {
  const url: CopyInput = { kind: 'url', url: 'https://u:geheim@h/f', checksum: null, unpack: false };
  const { parts } = keyOf({ ...copy, sources: [url] }, { selections: [selection({ [url.url]: '1' })] });
  assert.ok(parts.has('file 0 https://h/f'));
  assert.doesNotMatch(JSON.stringify([...parts]), /geheim/);
});

test('cacheKeyOf: WORKDIR counts its path, owner and what is below', () => {
  const directory = { kind: 'directory', step, parent: base, epoch: 0, path: '/w', owner: '' } as const;
  assert.notEqual(keyOf(directory).digest, keyOf({ ...directory, path: '/x' }).digest);
  assert.notEqual(keyOf(directory).digest, keyOf({ ...directory, owner: 'app' }).digest);
  assert.equal(keyOf(directory).digest, keyOf({ ...directory }).digest);
});
