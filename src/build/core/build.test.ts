import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuildError } from '../build-error.ts';
import type { BuildEvent } from '../build-event.ts';
import type { BuildRequest } from '../build-request.ts';
import { type FakeBuilder, fakeBuilder, fakeClient, fakeRequest } from './testing/fake-builder.ts';

const busybox = { 'busybox:latest': { layers: ['base'], config: { config: { Env: ['PATH=/bin'], Cmd: ['sh'] } } } };
const never = () => new AbortController().signal;

async function build(world: FakeBuilder, dockerfile: string | null, change: Partial<BuildRequest> = {}, ignoreFile: string | null = null) {
  const client = fakeClient(dockerfile, ignoreFile);
  const outcome = await world.builder.build(fakeRequest(change), client, never());
  return { outcome, client, image: world.exports.at(-1)?.images[0] };
}

async function failure(
  world: FakeBuilder,
  dockerfile: string | null,
  change: Partial<BuildRequest> = {},
  ignoreFile: string | null = null,
) {
  const client = fakeClient(dockerfile, ignoreFile);
  const error = await world.builder.build(fakeRequest(change), client, never()).then(
    () => assert.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof BuildError, String(error));
  return { ...error.failure, client, code: error.code };
}

function vertexNames(events: readonly BuildEvent[]): readonly string[] {
  const names = new Map(events.flatMap((event) => (event.kind === 'vertex' ? [[event.vertex.digest, event.vertex.name] as const] : [])));
  return [...names.values()];
}

/** Name → how it ended. */
function endings(events: readonly BuildEvent[]): Readonly<Record<string, string>> {
  const last = new Map(events.flatMap((event) => (event.kind === 'vertex' ? [[event.vertex.name, event.vertex] as const] : [])));
  return Object.fromEntries(
    [...last].map(([name, { cached, error, completedAt }]) => [name, error ?? (cached ? 'cached' : completedAt ? 'done' : 'open')]),
  );
}

test('createBuilder: FROM, COPY and RUN become layers on those of the base, and a config with one time', async () => {
  const world = fakeBuilder(busybox);
  world.files.set('f', '1');
  const { outcome, client, image } = await build(world, 'FROM busybox\nCOPY f /g\nENV A=1\nRUN make\n', { labels: new Map([['b', '2']]) });
  assert.deepEqual(world.done, ['context', 'copy [2/3] COPY f /g', 'run [3/3] RUN make']);
  assert.equal(image?.tree.layers.length, 3);
  assert.deepEqual(
    image?.layers.map(({ mediaType }) => mediaType.replace(/.*tar/, 'tar')),
    ['tar+gzip', 'tar', 'tar'],
  );
  assert.equal(image?.config.created, '2020-01-01T00:00:00Z');
  assert.deepEqual({ ...image?.config.config.Labels }, { b: '2' });
  assert.deepEqual(
    image?.config.history.map(({ created_by, empty_layer, comment }) => [created_by, empty_layer, comment]),
    [
      ['d-base', undefined, undefined],
      ['COPY f /g # buildkit', undefined, 'buildkit.dockerfile.v0'],
      ['ENV A=1', true, 'buildkit.dockerfile.v0'],
      ['RUN /bin/sh -c make # buildkit', undefined, 'buildkit.dockerfile.v0'],
    ],
  );
  assert.ok(outcome.imageId?.startsWith('sha256:'));
  assert.deepEqual(vertexNames(client.events).slice(0, 6), [
    '[internal] load build definition from Dockerfile',
    '[internal] load .dockerignore',
    '[internal] load build context',
    '[internal] load metadata for docker.io/library/busybox:latest',
    `[1/3] FROM docker.io/library/busybox:latest@${client.events.flatMap((event) => (event.kind === 'vertex' ? (/@(sha256:.*)/.exec(event.vertex.name)?.[1] ?? []) : []))[0]}`,
    '[2/3] COPY f /g',
  ]);
  assert.equal(vertexNames(client.events).at(-1), 'exporting to image');
  const plan = client.events.find((event) => event.kind === 'plan');
  assert.deepEqual(
    plan?.instructions.map(({ text, vertex }) => [text, vertex !== null]),
    [
      ['FROM busybox', true],
      ['COPY f /g', true],
      ['ENV A=1', false],
      ['RUN make', true],
    ],
  );
  assert.ok(world.isIdle());
  assert.equal(world.heldContexts(), 0);
});

test('createBuilder: each build reads its own context', async () => {
  const world = fakeBuilder(busybox);
  world.files.set('f', '1');
  await build(world, 'FROM busybox\nCOPY f /g\n');
  world.files.set('f', '2');
  await build(world, 'FROM busybox\nCOPY f /g\n');
  assert.equal(world.done.filter((what) => what === 'context').length, 2);
  assert.equal(world.done.filter((what) => what.startsWith('copy')).length, 2);
});

test('createBuilder: what was made before is taken from the cache, except for --no-cache', async () => {
  const world = fakeBuilder(busybox);
  const dockerfile = 'FROM busybox AS a\nRUN random\nFROM a AS b\nRUN print x\n';
  const first = await build(world, dockerfile);
  const second = await build(world, dockerfile, { explain: true });
  assert.equal(second.outcome.imageId, first.outcome.imageId);
  assert.equal(world.done.length, 2);
  assert.equal(endings(second.client.events)['[a 2/2] RUN random'], 'cached');
  assert.equal(second.client.events.filter(({ kind }) => kind === 'explanation').length, 2);
  const filtered = await build(world, dockerfile, { noCache: ['b'] });
  assert.equal(endings(filtered.client.events)['[a 2/2] RUN random'], 'cached');
  assert.equal(endings(filtered.client.events)['[b 2/2] RUN print x'], 'done');
  const fresh = await build(world, dockerfile, { noCache: 'all' });
  assert.notEqual(fresh.outcome.imageId, first.outcome.imageId);
  const after = await build(world, dockerfile);
  assert.equal(after.outcome.imageId, fresh.outcome.imageId, 'what was made last counts');
});

test('createBuilder: a context that nothing is taken from is never asked for', async () => {
  const world = fakeBuilder(busybox);
  await build(world, 'FROM scratch AS unused\nCOPY f /\nFROM busybox\nCOPY <<E /x\ny\nE\n');
  assert.deepEqual(world.done, ['copy [stage-1 2/2] COPY <<E /x']);
});

test('createBuilder: identical steps of two builds at once are done once, and each is told of them', async () => {
  const world = fakeBuilder(busybox);
  const dockerfile = 'FROM busybox\nRUN random\n';
  const [one, other] = await Promise.all([build(world, dockerfile), build(world, dockerfile)]);
  assert.equal(one.outcome.imageId, other.outcome.imageId);
  assert.deepEqual(world.done, ['run [2/2] RUN random']);
  assert.equal(endings(other.client.events)['[2/2] RUN random'], 'done');
  const apart = await Promise.all([
    build(world, 'FROM busybox\nRUN random 2\n', { noCache: 'all' }),
    build(world, 'FROM busybox\nRUN random 2\n', { noCache: 'all' }),
  ]);
  assert.notEqual(apart[0].outcome.imageId, apart[1].outcome.imageId);
});

test('createBuilder: a step that fails is told with its exit code, lines and place; what runs beside it is cancelled', async () => {
  const world = fakeBuilder(busybox);
  const dockerfile = 'FROM busybox AS a\nRUN wait\nFROM busybox AS b\nRUN exit 3\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n';
  const found = await failure(world, dockerfile);
  assert.equal(found.message, 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3');
  assert.deepEqual([found.exitCode, found.step, found.lastLines], [3, '[b 2/2] RUN exit 3', ['it went', 'wrong']]);
  assert.match(found.excerpt, /^Dockerfile:4\n-+\n(.*\n)*.*>>> RUN exit 3/);
  const ends = endings(found.client.events);
  assert.equal(ends['[a 2/2] RUN wait'], 'context canceled');
  assert.equal(ends['[b 2/2] RUN exit 3'], found.message);
  assert.equal(world.exports.length, 0);
  assert.ok(world.isIdle());
  const [record] = world.builder.history();
  assert.deepEqual([record?.status, record?.error], ['error', found.message]);
});

test('createBuilder: a Dockerfile that is wrong is told with all its places; one that is not there, by name', async () => {
  const world = fakeBuilder(busybox);
  const wrong = await failure(world, 'FROM busybox\nCPOY a b\nRUN x\nEXPOSE\n');
  assert.match(wrong.message, /line 2: unknown instruction: CPOY/);
  assert.match(wrong.message, /line 4/);
  assert.equal(wrong.excerpt.match(/^Dockerfile:/gm)?.length, 2);
  assert.equal((await failure(world, null)).message, 'failed to read dockerfile: open Dockerfile: no such file or directory');
  assert.equal(
    (await failure(world, null, { dockerfilePath: 'a/b' })).message,
    'failed to read dockerfile: open a/b: no such file or directory',
  );
  const missing = await failure(world, 'FROM busybox\nCOPY nope /\n');
  assert.match(missing.message, /"\/nope": not found/);
  assert.match(missing.excerpt, />>> COPY nope/);
  const planned = await failure(world, 'FROM busybox\nCOPY --from=9 / /\n');
  assert.match(planned.message, /invalid stage index 9/);
  assert.match(planned.excerpt, />>> COPY/);
});

test('createBuilder: a build that fails takes its transfers with it', async () => {
  const world = fakeBuilder(busybox);
  const client = fakeClient('FROM nosuch\nCOPY f /\n');
  const context: typeof client.context = (_, signal) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  await assert.rejects(world.builder.build(fakeRequest(), { ...client, context }, never()), { code: 'not-found' });
  assert.equal(endings(client.events)['[internal] load build context'], 'context canceled');
  assert.equal(world.builder.isBusy, false);
});

test('createBuilder: the Dockerfile of a context, in either case; a web address that is a Dockerfile', async () => {
  const world = fakeBuilder(busybox);
  world.files.set('dockerfile', 'FROM scratch\nLABEL a=b\n');
  const { image } = await build(world, null);
  assert.equal(image?.config.config.Labels?.a, 'b');
  assert.equal(image?.config.created, '1970-01-01T00:00:00Z');
  world.files.clear();
  world.files.set('Dockerfile', 'FROM scratch\nLABEL a=c\n');
  const remote = await build(world, null, { context: { kind: 'http', url: 'http://h/Dockerfile' } });
  assert.equal(remote.image?.config.config.Labels?.a, 'c');
  assert.equal(world.heldContexts(), 0);
});

test('createBuilder: base images are pulled when they are not here, with --pull even when they are', async () => {
  const world = fakeBuilder({ ...busybox, 'remote:alpine:latest': { layers: ['alpine'] }, 'remote:busybox:latest': { layers: ['newer'] } });
  const { client } = await build(world, 'FROM alpine\nCOPY --from=busybox / /\n');
  assert.deepEqual(world.done, ['pull docker.io/library/alpine:latest', 'copy [2/2] COPY --from=busybox / /']);
  assert.equal(endings(client.events)['[internal] load metadata for docker.io/library/alpine:latest'], 'done');
  const { image } = await build(world, 'FROM busybox\nLABEL a=b', { pull: true });
  assert.equal(image?.tree.layers[0]?.directory, 'd-newer');
  const absent = await failure(world, 'FROM busybox AS a\nFROM nosuch\n');
  assert.equal(absent.code, 'not-found');
  assert.match(absent.message, /nosuch/);
  assert.match(absent.excerpt, />>> FROM nosuch/);
});

test('createBuilder: named contexts are files or images, and take the place of stages and images', async () => {
  const world = fakeBuilder(busybox);
  world.files.set('/', 'all').set('f', '1');
  const namedContexts = new Map([
    ['files', { kind: 'client' as const, name: 'files' }],
    ['alpine', { kind: 'image' as const, reference: 'busybox' }],
  ]);
  const { image, client } = await build(world, 'FROM alpine:latest AS x\nFROM files\nCOPY --from=files f /\nCOPY --from=x / /\n', {
    namedContexts,
  });
  assert.deepEqual(
    image?.config.history.map(({ created_by }) => created_by),
    ['COPY f / # buildkit', 'COPY / / # buildkit'],
  );
  assert.equal(world.done.filter((what) => what === 'context').length, 1);
  assert.ok(vertexNames(client.events).includes('[context files] load from client'));
});

test('createBuilder: build checks are warnings, or errors before anything is done', async () => {
  const world = fakeBuilder(busybox);
  const { client } = await failure(world, 'FROM busybox\nCOPY hidden /\n', {}, 'hidden\n');
  const warnings = client.events.flatMap((event) => (event.kind === 'warning' ? [event.warning.rule] : []));
  assert.deepEqual(warnings, ['CopyIgnoredFile']);
  world.done.length = 0;
  const warned = await build(world, 'FROM busybox AS Web\n', { buildArguments: new Map([['NOPE', '1']]) });
  assert.deepEqual(
    warned.outcome.warnings.map(({ short }) => short),
    ["StageNameCasing: Stage name 'Web' should be lowercase (line 1)", 'One or more build-args [NOPE] were not consumed'],
  );
  assert.equal(warned.outcome.warnings[0]?.url, 'https://docs.docker.com/go/dockerfile/rule/stage-name-casing/');
  const foreign = await build(world, '# syntax=docker/dockerfile:1\nFROM busybox\n', {
    buildArguments: new Map([['BUILDKIT_SYNTAX', 'a/b:1']]),
  });
  assert.match(foreign.outcome.warnings[0]?.short ?? '', /^the front end a\/b:1 is not used/);
  assert.deepEqual((await build(world, '# syntax=docker/dockerfile:1.7-labs\nFROM busybox\n')).outcome.warnings, []);
  const refused = await failure(world, '# check=error=true\nFROM busybox AS Web\nRUN make\n');
  assert.equal(refused.message, 'lint violation found for rules: StageNameCasing');
  assert.deepEqual(world.done, []);
  const arm = fakeBuilder({ 'remote:a:latest': { config: { architecture: 'arm64' } } });
  const other = await build(arm, 'FROM a\n');
  assert.deepEqual(
    other.outcome.warnings.map(({ short }) => short),
    [
      'InvalidBaseImagePlatform: Base image docker.io/library/a:latest was pulled with platform "linux/arm64", expected "linux/amd64" for current build (line 1)',
    ],
  );
});

test('createBuilder: several platforms are several images, titles say for which, common steps are done once', async () => {
  const arm = { os: 'linux', architecture: 'arm64' };
  const world = fakeBuilder({ ...busybox, 'remote:busybox:latest': { layers: ['arm'], config: { architecture: 'arm64' } } });
  const dockerfile = 'FROM --platform=$BUILDPLATFORM busybox AS build\nRUN make\nFROM busybox\nCOPY --from=build / /x/\n';
  const { client } = await build(world, dockerfile, { platforms: [{ os: 'linux', architecture: 'amd64' }, arm] });
  const images = world.exports[0]?.images ?? [];
  assert.deepEqual(
    images.map(({ platform, config }) => [platform.architecture, config.architecture]),
    [
      ['amd64', 'amd64'],
      ['arm64', 'arm64'],
    ],
  );
  assert.equal(world.done.filter((what) => what.startsWith('run')).length, 1);
  const names = vertexNames(client.events);
  assert.ok(names.includes('[linux/amd64 build 2/2] RUN make'), names.join('\n'));
  assert.ok(names.includes('[linux/amd64->arm64 build 2/2] RUN make'));
  assert.ok(names.includes('[linux/arm64 stage-1 2/2] COPY --from=build / /x/'));
});

test('createBuilder: the epoch of an argument, of the file, of the context, of the base', async () => {
  const world = fakeBuilder(busybox);
  const created = async (dockerfile: string, change: Partial<BuildRequest> = {}) =>
    (await build(world, dockerfile, change)).image?.config.created;
  assert.equal(await created('FROM busybox', { epoch: 5 }), '1970-01-01T00:00:05Z');
  assert.equal(await created('FROM busybox', { epoch: 5, buildArguments: new Map([['SOURCE_DATE_EPOCH', '6']]) }), '1970-01-01T00:00:06Z');
  assert.equal(await created('ARG SOURCE_DATE_EPOCH=7\nFROM busybox'), '1970-01-01T00:00:07Z');
  assert.equal(await created('FROM busybox', { epoch: 'context' }), '1970-01-01T00:01:17Z');
  assert.equal(
    await created('FROM busybox', { epoch: 'context', context: { kind: 'git', url: 'https://h/p.git' } }),
    '1970-01-01T00:00:05Z',
  );
  assert.match(
    (await failure(world, 'FROM busybox', { buildArguments: new Map([['SOURCE_DATE_EPOCH', 'x']]) })).message,
    /^invalid SOURCE_DATE_EPOCH: x/,
  );
  assert.match((await failure(world, 'FROM busybox', { epoch: -1 })).message, /^invalid timestamp: -1/);
});

test('createBuilder: --squash leaves one layer above the base', async () => {
  const world = fakeBuilder(busybox);
  const { image } = await build(world, 'FROM busybox\nRUN a\nRUN b\n', { squash: true });
  assert.equal(image?.tree.layers.length, 2);
  assert.equal(image?.config.history.filter(({ empty_layer }) => empty_layer !== true).length, 2);
});

test('createBuilder: a build that is cancelled ends with its steps, and another that wants the same goes on', async () => {
  const world = fakeBuilder(busybox);
  const client = fakeClient('FROM busybox\nRUN wait\n');
  const building = world.builder.build(fakeRequest({ id: 'one' }), client, never());
  while (!world.done.includes('run [2/2] RUN wait')) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(world.builder.history()[0]?.status, 'running');
  assert.equal(world.builder.cancel('one'), true);
  await assert.rejects(building, { message: 'context canceled' });
  assert.equal(endings(client.events)['[2/2] RUN wait'], 'context canceled');
  assert.equal(world.builder.cancel('one'), false);
  assert.equal(world.builder.history()[0]?.status, 'canceled');
  assert.ok(world.isIdle());
});

test('createBuilder: --verify builds twice without the cache and names the step that came to something else', async () => {
  const world = fakeBuilder(busybox);
  const same = await build(world, 'FROM busybox\nRUN a\n', { verify: true });
  assert.deepEqual(world.done, ['run [2/2] RUN a', 'run [2/2] RUN a']);
  assert.deepEqual(same.outcome.answer?.json, { identical: true, images: [same.outcome.imageId] });
  assert.equal(endings(same.client.events)['[2/2] RUN a (again)'], 'done');
  assert.equal(world.cache.size, 0);
  const dockerfile = 'FROM busybox AS a\nRUN a\nRUN random\nFROM busybox\nRUN b\nCOPY --from=a / /x/\n';
  const differing = await build(world, dockerfile, { verify: true });
  assert.match(differing.outcome.answer?.text ?? '', /\[a 3\/3\] RUN random \(line 3\)/);
});

test('createBuilder: the state before a failed step can be kept as an image without a name', async () => {
  const world = fakeBuilder(busybox);
  const found = await failure(world, 'FROM busybox\nENV A=1\nWORKDIR /w\nUSER 7\nRUN exit 1\n', { keepFailed: true });
  assert.ok(found.stateImage?.startsWith('sha256:'));
  const [state] = world.exports.at(-1)?.images ?? [];
  assert.deepEqual(state?.config.config, {
    User: '7',
    Env: ['PATH=/bin', 'A=1'],
    WorkingDir: '/w',
    Cmd: ['/bin/sh'],
    Shell: ['/bin/sh', '-c'],
  });
  assert.equal(state?.tree.layers.length, 2);
  assert.equal((await failure(world, 'FROM busybox\nRUN exit 1\n')).stateImage, null);
});

test('createBuilder: --call answers from the file alone', async () => {
  const world = fakeBuilder();
  const dockerfile = [
    '# V which one',
    'ARG V=1',
    '# base where all begins',
    'FROM nosuch:$V AS base',
    'FROM base AS web',
    'ARG TARGET_NAME',
    'RUN --mount=type=secret,id=key,required --mount=type=ssh make',
    'FROM base AS Other',
  ].join('\n');
  const answer = async (change: Partial<BuildRequest>) => (await build(world, dockerfile, change)).outcome.answer;
  const outline = await answer({ call: 'outline', target: 'web', buildArguments: new Map([['V', '2']]) });
  assert.equal(
    outline?.text,
    'TARGET:      web\n\nBUILD ARG     VALUE   DESCRIPTION\nV             2       which one\nTARGET_NAME\n\nSECRET   REQUIRED\nkey      true\n\nSSH       REQUIRED\ndefault\n',
  );
  const targets = await answer({ call: 'targets' });
  assert.equal(targets?.text, 'TARGET            DESCRIPTION\nbase              where all begins\nweb\nother (default)\n');
  const check = await answer({ call: 'check' });
  assert.match(check?.text ?? '', /^Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing - https:/);
  assert.deepEqual(world.builder.history(), []);
  assert.deepEqual(world.done, []);
});

test('createBuilder: a step goes on for the build that still waits for it when the one that began it is cancelled', async () => {
  const world = fakeBuilder(busybox);
  const dockerfile = 'FROM busybox\nRUN slow\n';
  const first = world.builder.build(fakeRequest({ id: 'first' }), fakeClient(dockerfile), never());
  while (world.done.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = build(world, dockerfile);
  await new Promise((resolve) => setTimeout(resolve, 20));
  world.builder.cancel('first');
  await assert.rejects(first, { message: 'context canceled' });
  world.letGo();
  assert.ok((await second).outcome.imageId);
  assert.deepEqual(world.done, ['run [2/2] RUN slow']);
  assert.ok(world.isIdle());
});

test('SEC-18 createBuilder: hostile requests and files are errors, not crashes', async () => {
  const world = fakeBuilder(busybox);
  const many = Array.from({ length: 1001 }, (_, index) => `FROM scratch AS s${index}`).join('\n');
  assert.match((await failure(world, many)).message, /1001 stages/);
  assert.match((await failure(world, 'FROM a\0b')).message, /NUL/);
  assert.match((await failure(world, '')).message, /empty/);
  assert.match((await failure(world, 'FROM scratch AS a\nCOPY --from=a / /\n')).message, /circular dependency/);
  assert.match((await failure(world, 'FROM busybox', { epoch: Number.NaN })).message, /^invalid/);
  assert.match((await failure(world, 'FROM busybox', { buildArguments: new Map([['a\0', '']]) })).message, /NUL/);
  assert.match((await failure(world, 'FROM busybox', { target: '__proto__' })).message, /could not be found/);
});
