import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { EngineError, notFound } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import type { BuildClient } from '../../build/build-client.ts';
import type { CacheUsage } from '../../build/cache/build-cache.ts';
import { createApiServer } from '../api-server.ts';
import { builtImage, type FakeBuild, FakeBuildError, FakeBuilder } from '../fixtures/fake-builder.ts';
import { fakeServices } from '../fixtures/fake-services.ts';
import { head, request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

const place = { startLine: 2, endLine: 2 };
const digest = `sha256:${'ab'.repeat(32)}`;
const usage: CacheUsage = {
  id: 'one',
  type: 'regular',
  description: '[1/2] RUN make',
  sizeBytes: 100,
  shared: false,
  inUse: false,
  createdAt: new Date(0),
  lastUsedAt: null,
  usageCount: 1,
  parents: ['zero'],
};

async function serve(work: FakeBuild = async () => ({})) {
  const builder = new FakeBuilder(work);
  const services = { ...fakeServices(), builder };
  const server = await serveOnUnix(
    createApiServer({ routes: apiRoutes(services), engineVersion: '0.1.0', logger: silentLogger }).createListener(),
  );
  return { builder, path: server.path, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function post(url: string, work?: FakeBuild, options: Parameters<typeof request>[3] = { body: 'tar' }) {
  await using server = await serve(work);
  return { ...(await request(server.path, 'POST', url, options)), builder: server.builder };
}

const linesOf = (body: string) =>
  body
    .split('\r\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const query = (parameters: Readonly<Record<string, unknown>>) =>
  new URLSearchParams(
    Object.entries(parameters).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  ).toString();

const failing: FakeBuild = async (_, client) => {
  client.report({ kind: 'plan', instructions: [{ text: 'RUN exit 3', vertex: digest, place }] });
  client.report({ kind: 'vertex', vertex: { digest, inputs: [], name: '[2/2] RUN exit 3', startedAt: new Date() } });
  client.report({ kind: 'log', vertex: digest, stream: 'stdout', bytes: Buffer.from('out\n'), at: new Date() });
  client.report({
    kind: 'vertex',
    vertex: { digest, inputs: [], name: '[2/2] RUN exit 3', completedAt: new Date(), error: 'exit code: 3' },
  });
  throw new FakeBuildError({
    message: 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3',
    exitCode: 3,
    excerpt: 'Dockerfile:2',
  });
};

describe('POST /build', () => {
  it('hands the body over as the context and tells what came of it', async () => {
    const seen: string[] = [];
    const work: FakeBuild = async ({ outputs, context }, client) => {
      assert.equal(context.kind, 'client');
      const transfer = await client.context('context', new AbortController().signal);
      if (transfer.kind === 'tar') seen.push(await text(transfer.stream));
      client.report({
        kind: 'plan',
        instructions: [
          { text: 'FROM scratch', vertex: null, place },
          { text: 'ENV A=1', vertex: null, place },
        ],
      });
      const warning = { rule: '', short: 'One or more build-args [X] were not consumed', detail: '', url: '', place: null, vertex: '' };
      return { names: outputs.flatMap(({ names }) => names), warnings: [warning] };
    };
    const { status, headers, body } = await post('/build?t=a&t=localhost:5000/b:2&t=a', work, { body: 'the tar' });
    assert.deepEqual([status, headers['content-type']], [200, 'application/json']);
    assert.deepEqual(seen, ['the tar']);
    assert.deepEqual(linesOf(body), [
      { stream: 'Step 1/2 : FROM scratch' },
      { stream: '\n' },
      { stream: ' ---> \n' },
      { stream: 'Step 2/2 : ENV A=1' },
      { stream: '\n' },
      { stream: ` ---> ${'fe'.repeat(6)}\n` },
      { aux: { ID: builtImage } },
      { stream: '[Warning] One or more build-args [X] were not consumed\n' },
      { stream: `Successfully built ${'fe'.repeat(6)}\n` },
      { stream: 'Successfully tagged a:latest\n' },
      { stream: 'Successfully tagged localhost:5000/b:2\n' },
    ]);
  });

  it("tells of a base image's layers as a pull does", async () => {
    const status = { vertex: digest, current: 5, total: 10, startedAt: new Date() };
    const { body } = await post('/build', async (_, client) => {
      const tell = (id: string, more: object = {}) => client.report({ kind: 'status', status: { ...status, id, name: id, ...more } });
      tell('transferring context:');
      tell('0123456789ab');
      tell('0123456789ab', { completedAt: new Date() });
      tell('extracting 0123456789ab');
      return {};
    });
    assert.deepEqual(linesOf(body).slice(0, -2), [
      { status: 'Downloading', progressDetail: { current: 5, total: 10 }, id: '0123456789ab' },
      { status: 'Download complete', progressDetail: {}, id: '0123456789ab' },
      { status: 'Extracting', progressDetail: { current: 5, total: 10 }, id: '0123456789ab' },
    ]);
  });

  it('q: only the id, or all of it when it fails', async () => {
    assert.deepEqual(linesOf((await post('/build?q=1')).body), [{ stream: `${builtImage}\n` }]);
    const { status, body } = await post('/build?q=True', failing);
    assert.equal(status, 200);
    assert.deepEqual(
      linesOf(body).map((line) => line.stream ?? line.errorDetail),
      [
        'Step 1/1 : RUN exit 3',
        '\n',
        ' ---> Running in abababababab\n',
        'out\n',
        'Dockerfile:2\n',
        { code: 3, message: "The command '/bin/sh -c exit 3' returned a non-zero code: 3" },
      ],
    );
  });

  it('a step that fails ends the stream with its exit status', async () => {
    const { status, body } = await post('/build', failing);
    assert.equal(status, 200);
    const message = "The command '/bin/sh -c exit 3' returned a non-zero code: 3";
    assert.deepEqual(linesOf(body).at(-1), { errorDetail: { code: 3, message }, error: message });
  });

  it('a wrong Dockerfile is an HTTP error, a base image that is missing is not', async () => {
    const wrong = await post('/build', async () => {
      throw new FakeBuildError({ message: 'dockerfile parse error on line 2: unknown instruction: BOGUS' }, 'invalid');
    });
    assert.deepEqual([wrong.status, wrong.body], [400, '{"message":"dockerfile parse error on line 2: unknown instruction: BOGUS"}\n']);
    const none = await post('/build', async () => {
      throw new FakeBuildError({ message: 'failed to read dockerfile: open Dockerfile: no such file or directory' }, 'not-found');
    });
    assert.deepEqual([none.status, none.body], [400, '{"message":"Cannot locate specified Dockerfile: Dockerfile"}\n']);
    const unreachable = await post('/build?remote=http://h/x', async () => {
      throw new EngineError('unauthorized', 'cannot fetch http://h/x: 401');
    });
    assert.equal(unreachable.status, 403);
    const missing = await post('/build', async (_, client) => {
      client.report({
        kind: 'vertex',
        vertex: { digest, inputs: [], name: '[internal] load metadata for nothing', startedAt: new Date() },
      });
      throw notFound('pull access denied for nothing');
    });
    assert.equal(missing.status, 200);
    const message = 'pull access denied for nothing';
    assert.deepEqual(linesOf(missing.body), [{ errorDetail: { message }, error: message }]);
  });

  it('takes every parameter', async () => {
    const url = `/build?${query({
      buildid: 'b1',
      dockerfile: '/sub/Dockerfile.dev',
      target: 'dev',
      nocache: '1',
      pull: 'True',
      rm: 'False',
      forcerm: '1',
      platform: 'linux/arm64',
      squash: '1',
      buildargs: { A: '1', B: null, __proto__: 'x' },
      labels: { k: 'v' },
      cachefrom: ['a:1', 'b'],
      networkmode: 'host',
      extrahosts: 'a:10.0.0.1',
      shmsize: '67108864',
      memory: '100000000',
      memswap: '-1',
      cpushares: '512',
      cpuperiod: '100000',
      cpuquota: '50000',
      cpusetcpus: '0-1,3',
      cpusetmems: '0',
      cgroupparent: '/x',
      ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
      version: '1',
      remote: 'https://host/p.git#main:dir',
      bogus: '1',
    })}&extrahosts=b:host-gateway`;
    const { builder } = await post(url);
    const [asked] = builder.requests;
    assert.ok(asked);
    assert.deepEqual(
      { id: asked.id, file: asked.dockerfilePath, target: asked.target, noCache: asked.noCache, pull: asked.pull, squash: asked.squash },
      { id: 'b1', file: 'sub/Dockerfile.dev', target: 'dev', noCache: 'all', pull: true, squash: true },
    );
    assert.deepEqual(asked.context, { kind: 'git', url: 'https://host/p.git#main:dir' });
    assert.deepEqual(asked.platforms, [{ os: 'linux', architecture: 'arm64' }]);
    assert.deepEqual([...asked.buildArguments], [['A', '1']]);
    assert.deepEqual([...asked.labels], [['k', 'v']]);
    assert.deepEqual(
      asked.cacheFrom.map(({ reference, ignoreErrors }) => [reference, ignoreErrors]),
      [
        ['a:1', true],
        ['b', true],
      ],
    );
    assert.deepEqual([...asked.entitlements], ['network.host']);
    assert.deepEqual(asked.run, {
      network: 'host',
      networkName: null,
      extraHosts: ['a:10.0.0.1', 'b:host-gateway'],
      hostname: null,
      shmSizeBytes: 67108864,
      ulimits: [{ name: 'nofile', soft: 100, hard: 200 }],
      cgroupParent: '/x',
      memoryBytes: 100000000,
      memorySwapBytes: -1,
      cpuShares: 512,
      cpuPeriod: 100000,
      cpuQuota: 50000,
      cpus: '0-1,3',
      memoryNodes: '0',
      gpus: [],
    });
  });

  it("takes what clients write for nothing, and networks by Docker's names", async () => {
    const { builder } = await post(
      '/build?buildargs=null&labels=&ulimits=null&cachefrom=%5B%5D&memory=0&shmsize=0&t=&networkmode=bridge&remote=',
    );
    const [asked] = builder.requests;
    assert.deepEqual([asked?.buildArguments.size, asked?.run.ulimits, asked?.cacheFrom, asked?.run.memoryBytes], [0, [], [], null]);
    assert.deepEqual([asked?.outputs[0]?.names, asked?.run.network, asked?.run.networkName], [[], 'default', null]);
    const named = await post('/build?networkmode=web');
    assert.equal(named.builder.requests[0]?.run.networkName, 'web');
    assert.equal(named.builder.requests[0]?.entitlements.size, 0);
  });

  it('SEC-18: garbage, negative and null parameters are refused by name', async () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['buildargs=x', /error reading build args.*"buildargs"/],
      ['buildargs=[1]', /error reading build args.*"buildargs"/],
      ['buildargs={"A":{"canary":1}}', /error reading build args: "A"/],
      ['labels="x"', /error reading labels.*"labels"/],
      ['labels={"a":1}', /error reading labels: "a"/],
      ['ulimits=[null]', /"ulimits"/],
      ['ulimits={}', /error reading ulimit settings.*"ulimits"/],
      ['ulimits=[{"Name":"nofile","Soft":-7,"Hard":1}]', /"ulimits"/],
      ['cachefrom=x', /"cachefrom"/],
      ['cachefrom=[null]', /"cachefrom"/],
      ['memory=abc', /"memory"/],
      ['memory=-1', /"memory".*negative/],
      ['memory=1e9', /"memory"/],
      ['memory=99999999999999999999', /"memory"/],
      ['memswap=-2', /"memswap"/],
      ['cpushares=-1', /"cpushares"/],
      ['cpuperiod=x', /"cpuperiod"/],
      ['cpuquota=-5', /"cpuquota"/],
      ['cpusetcpus=x', /"cpusetcpus"/],
      ['cpusetmems=-1', /"cpusetmems"/],
      ['shmsize=-1', /"shmsize"/],
      ['extrahosts=x', /"extrahosts"/],
      ['isolation=hyperv', /Unsupported isolation: "hyperv"/],
      ['securityopt=seccomp=unconfined', /does not support setting security options on build/],
      ['dockerfile=../x', /forbidden path outside the build context: \.\.\/x/],
      ['dockerfile=.', /"dockerfile"/],
      ['t=UPPER', /must be lowercase/],
      ['t=a:b:c', /invalid reference format/],
      ['platform=a/b/c/d', /platform/],
      ['remote=file:///etc/passwd', /could not be recognized as URL/],
      ['remote=--upload-pack=x', /could not be recognized as URL/],
      ['outputs=x', /"outputs"/],
      ['outputs=[null]', /"outputs"/],
      ['version=3', /invalid version "3"/],
    ];
    await using server = await serve();
    for (const [parameters, message] of wrong) {
      const [name = '', ...value] = parameters.split('=');
      const { status, body } = await request(server.path, 'POST', `/build?${name}=${encodeURIComponent(value.join('='))}`, { body: 'tar' });
      assert.equal(status, 400, `${parameters}: ${body}`);
      assert.match(JSON.parse(body).message, message);
      assert.doesNotMatch(body, /canary/);
    }
    assert.deepEqual(server.builder.requests, []);
  });

  it('refuses by name what it cannot do', async () => {
    for (const [parameters, message] of [
      ['outputs=[{"Type":"local","Attrs":{}}]', /type=local/],
      ['networkmode=container:x', /networkmode/],
    ] as const) {
      const [name = '', ...value] = parameters.split('=');
      const { status, body } = await post(`/build?${name}=${encodeURIComponent(value.join('='))}`);
      assert.equal(status, 501);
      assert.match(body, message);
    }
    const { status, body } = await post('/build', undefined, {});
    assert.equal(status, 400);
    assert.match(body, /Cannot locate specified Dockerfile: Dockerfile/);
  });

  it('what a version of the API does not know is ignored in it', async () => {
    assert.equal((await post('/v1.39/build?outputs=x')).status, 200);
    const old = await post('/v1.31/build?platform=linux/arm64');
    assert.deepEqual(old.builder.requests[0]?.platforms, []);
  });

  it("hands a registry's credentials over for that registry only, and tells nothing of a malformed header", async () => {
    const config = {
      'https://index.docker.io/v1/': { username: 'hub', password: 'p' },
      'registry.example:5000': { identitytoken: 't' },
      'empty.example': {},
    };
    const found: unknown[] = [];
    const work = async (_: unknown, client: BuildClient) => {
      const { signal } = new AbortController();
      for (const name of ['docker.io', 'registry.example:5000', 'empty.example', 'other'])
        found.push(await client.credentials(name, signal));
      return {};
    };
    const header = (value: unknown) => ({
      body: 'x',
      headers: { 'X-Registry-Config': Buffer.from(JSON.stringify(value)).toString('base64url') },
    });
    await post('/build', work, header(config));
    assert.deepEqual(found, [{ kind: 'basic', username: 'hub', password: 'p' }, { kind: 'identity-token', token: 't' }, null, null]);
    assert.equal((await post('/build', undefined, header(null))).status, 200);
    for (const value of ['canary', ['canary'], { a: 'canary' }, { a: { username: 1, password: 'canary' } }]) {
      const { status, body } = await post('/build', undefined, header(value));
      assert.equal(status, 400);
      assert.match(body, /invalid X-Registry-Config header/);
      assert.doesNotMatch(body, /canary/);
    }
  });

  it('a client that leaves cancels its build', async () => {
    const begun = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<unknown>();
    await using server = await serve(async (_, client, signal) => {
      const transfer = await client.context('context', signal);
      if (transfer.kind === 'tar') transfer.stream.resume();
      signal.addEventListener('abort', () => cancelled.resolve(signal.reason));
      begun.resolve();
      throw await cancelled.promise;
    });
    const socket = connect(server.path);
    socket.write(head('POST', '/build', { 'Content-Length': '3' }));
    socket.write('tar');
    await begun.promise;
    socket.destroy();
    assert.match(String(await cancelled.promise), /the client closed the connection/);
  });
});

describe('the build cache', () => {
  it('POST /build/cancel needs an id', async () => {
    const { status, builder } = await post('/build/cancel?id=b1', undefined, {});
    assert.deepEqual([status, builder.cancelled], [200, ['b1']]);
    assert.equal((await post('/build/cancel', undefined, {})).status, 400);
  });

  it('POST /build/prune takes filters and spaces, empty ones too', async () => {
    await using server = await serve();
    server.builder.usage = [usage, { ...usage, id: 'two', shared: true, sizeBytes: 50, description: 'local source' }];
    const prune = (parameters: object) => request(server.path, 'POST', `/build/prune?${query({ ...parameters })}`);
    assert.equal((await prune({ all: '1', filters: '' })).body, '{"CachesDeleted":["a","b"],"SpaceReclaimed":12}\n');
    await prune({ filters: { until: ['24h'], type: ['regular'] }, 'keep-storage': '10' });
    await prune({ filters: { description: { make: true } }, 'max-used-space': '120', 'reserved-space': '130' });
    await prune({ filters: { shared: ['true'] }, 'min-free-space': '1' });
    assert.equal((await prune({ filters: { id: ['nothing'] } })).body, '{"CachesDeleted":null,"SpaceReclaimed":0}\n');
    const [all, until, described, shared] = server.builder.pruned;
    assert.deepEqual(all, { all: true, unusedSince: null, ids: [], types: [], keepBytes: null });
    assert.deepEqual([until?.types, until?.keepBytes], [['regular'], 10]);
    assert.ok(Math.abs((until?.unusedSince?.getTime() ?? 0) - (Date.now() - 86_400_000)) < 60_000);
    assert.deepEqual([described?.ids, described?.keepBytes], [['one'], 130]);
    assert.deepEqual([shared?.ids, shared?.keepBytes], [['two'], 150]);
    assert.equal(server.builder.pruned.length, 4);
    assert.equal((await prune({ filters: { bogus: ['x'] } })).status, 400);
    assert.match((await prune({ 'keep-storage': '-1' })).body, /keep-storage/);
  });

  it('GET /system/df has its records', async () => {
    await using server = await serve();
    server.builder.usage = [usage];
    const df = async (version: string) => JSON.parse((await request(server.path, 'GET', `/v1.${version}/system/df`)).body);
    const old = await df('41');
    assert.deepEqual([old.BuilderSize, old.BuildCache[0].Parent, old.BuildCache[0].ID], [100, 'zero', 'one']);
    const [row] = (await df('51')).BuildCache;
    assert.deepEqual(row, {
      ID: 'one',
      Parents: ['zero'],
      Type: 'regular',
      Description: '[1/2] RUN make',
      InUse: false,
      Shared: false,
      Size: 100,
      CreatedAt: '1970-01-01T00:00:00Z',
      LastUsedAt: null,
      UsageCount: 1,
    });
  });
});

it('an error of the engine before the first line keeps its status', async () => {
  const { status } = await post('/build', async () => {
    throw new EngineError('not-implemented', 'the option x is not supported');
  });
  assert.equal(status, 501);
});
