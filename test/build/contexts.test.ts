/** Contexts from a client to the directory that COPY reads, over a real socket: the session of `gantry build`, the context store, folders, git and web addresses. */
import assert from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { createApiServer } from '../../src/api/api-server.ts';
import { buildSessionRoutes } from '../../src/api/routes/build-session-routes.ts';
import { IgnorePatterns } from '../../src/archive/ignore-patterns.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { BuildClient } from '../../src/build/build-client.ts';
import { BuildError } from '../../src/build/build-error.ts';
import type { BuildRequest } from '../../src/build/build-request.ts';
import type { Builder, BuildOutcome } from '../../src/build/builder.ts';
import { type ContextIndex, readContextIndex } from '../../src/build/context/context-index.ts';
import type { HeldContext } from '../../src/build/context/context-store.ts';
import { createContextStore, type OpenContextStore } from '../../src/build/context/create-context-store.ts';
import { makeRepository, serveGit } from '../../src/build/context/testing/git-server.ts';
import { localFiles } from '../../src/cli/build/context/local-files.ts';
import { ApiClient } from '../../src/client/api-client.ts';
import { startBuild } from '../../src/client/build-session.ts';
import type { BuildFailedError, BuildProgress, BuildRequestBody, BuildSide, LocalContext } from '../../src/client/build-types.ts';

let directory = '';
let store: OpenContextStore;
let server: Server;
let api: ApiClient;
/** What the builder does in the running test. */
let work: (request: BuildRequest, client: BuildClient, signal: AbortSignal) => Promise<void> = async () => {};

const outcome: BuildOutcome = {
  imageId: null,
  configDigest: null,
  digest: null,
  mediaType: null,
  sizeBytes: 5,
  names: ['docker.io/library/x:latest'],
  warnings: [],
  answer: null,
  provenance: null,
};

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-session-'));
  store = await createContextStore({ root: join(directory, 'root') });
  const builder = {
    async build(request: BuildRequest, client: BuildClient, signal: AbortSignal) {
      await work(request, client, signal);
      return outcome;
    },
  } as unknown as Builder;
  server = createApiServer({ routes: buildSessionRoutes(builder), engineVersion: '1', logger: silentLogger }).createListener();
  await new Promise<void>((resolve) => server.listen(join(directory, 's'), resolve));
  api = new ApiClient({ address: `unix://${join(directory, 's')}` });
});

after(async () => {
  api.close();
  server.close();
  server.closeAllConnections();
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const minimal = { context: { kind: 'client', name: 'context' } } as BuildRequestBody;

function side(parts: Partial<BuildSide> = {}): BuildSide {
  return {
    onEvent: () => {},
    dockerfile: null,
    contexts: new Map(),
    secret: async () => null,
    hasSshAgent: () => false,
    connectSshAgent: () => Promise.reject(new Error('no agent')),
    credentials: async () => null,
    output: async () => new PassThrough(),
    ...parts,
  };
}

function build(parts: Partial<BuildSide>, signal = new AbortController().signal, request = minimal) {
  return startBuild(api, request, side(parts), signal);
}

function folder(path: string, ignore = '', sharedKey: string | null = path): ReadonlyMap<string, LocalContext> {
  return new Map([['context', { kind: 'files', files: localFiles({ directory: path, ignore: IgnorePatterns.parse(ignore), sharedKey }) }]]);
}

/** Builds with it, and gives what the daemon then has. */
async function received(
  contexts: ReadonlyMap<string, LocalContext>,
): Promise<{ index: ContextIndex; digest: string; bytes: number; read(path: string): string }> {
  const seen: { held: HeldContext | null; bytes: number } = { held: null, bytes: 0 };
  const texts = new Map<string, string>();
  let index: ContextIndex = new Map();
  work = async (_request, client, signal) => {
    const held = await store.receive(await client.context('context', signal), (bytes) => (seen.bytes = bytes), signal);
    seen.held = held;
    index = readContextIndex(held.files.index ?? '');
    for (const [path, { type, sizeBytes }] of index) {
      if (type === 'file' && sizeBytes < 1000) texts.set(path, readFileSync(join(held.files.directory, path), 'utf8'));
    }
    await held.release();
  };
  await build({ contexts });
  return { index, digest: seen.held?.digest ?? '', bytes: seen.bytes, read: (path) => texts.get(path) ?? '' };
}

function makeFolder(name: string): string {
  const path = join(directory, name);
  mkdirSync(join(path, 'src/deep'), { recursive: true });
  for (let number = 0; number < 300; number++) writeFileSync(join(path, `src/f${number}`), `file ${number}\n`);
  writeFileSync(join(path, 'src/deep/ümlaut'), 'ü');
  writeFileSync(join(path, 'empty'), '');
  writeFileSync(join(path, 'big'), Buffer.alloc(3_000_001, 7));
  symlinkSync('src/f1', join(path, 'link'));
  linkSync(join(path, 'src/f2'), join(path, 'twin'));
  mkdirSync(join(path, 'node_modules/a'), { recursive: true });
  writeFileSync(join(path, 'node_modules/a/index.js'), 'ignored');
  return path;
}

test('a folder arrives as it is without what is ignored; then only what changed is sent', async () => {
  const path = makeFolder('folder');
  const first = await received(folder(path, 'node_modules\n'));
  assert.equal(first.index.size, 300 + 7);
  assert.equal(first.read('src/f17'), 'file 17\n');
  assert.equal(first.read('src/deep/ümlaut'), 'ü');
  assert.deepEqual(
    [first.index.get('big')?.sizeBytes, first.index.get('empty')?.sizeBytes, first.index.get('link')?.linkTarget],
    [3_000_001, 0, 'src/f1'],
  );
  assert.equal(first.index.get('twin')?.digest, first.index.get('src/f2')?.digest);
  assert.ok(first.bytes > 3_000_000);

  const same = await received(folder(path, 'node_modules\n'));
  assert.deepEqual([same.digest, same.bytes], [first.digest, 0]);

  // With its old size and time: only the time of its change tells.
  const { atime, mtime } = statSync(join(path, 'src/f5'));
  writeFileSync(join(path, 'src/f5'), 'FILE 5\n');
  utimesSync(join(path, 'src/f5'), atime, mtime);
  rmSync(join(path, 'src/f6'));
  renameSync(join(path, 'src/deep'), join(path, 'src/deeper'));
  const changed = await received(folder(path, 'node_modules\n'));
  assert.equal(changed.read('src/f5'), 'FILE 5\n');
  assert.equal(changed.index.has('src/f6'), false);
  assert.equal(changed.index.has('src/deep'), false);
  assert.ok(changed.bytes > 0 && changed.bytes < 200, `${changed.bytes} bytes were sent`);
  const fresh = await received(folder(path, 'node_modules\n', null));
  assert.equal(fresh.digest, changed.digest);
});

test('a tar, and a folder that nothing is kept of', async () => {
  const tar = await received(new Map([['context', { kind: 'tar', stream: Readable.from([Buffer.alloc(1024)]) }]]));
  assert.equal(tar.index.size, 0);
});

test('a file that cannot be read, or that shrinks while it is sent, fails the build by its name', async () => {
  const path = makeFolder('unreadable');
  const files = localFiles({ directory: path, ignore: IgnorePatterns.parse(''), sharedKey: 'unreadable' });
  const broken: LocalContext = {
    kind: 'files',
    files: {
      ...files,
      async *entries() {
        yield* files.entries();
        writeFileSync(join(path, 'big'), 'now short');
      },
    },
  };
  work = async (_request, client, signal) => {
    await store.receive(await client.context('context', signal), () => {}, signal);
  };
  await assert.rejects(build({ contexts: new Map([['context', broken]]) }), (error: BuildFailedError) => /big/.test(error.failure.message));
  rmSync(join(path, 'big'));
  const gone: LocalContext = {
    kind: 'files',
    files: {
      ...files,
      async *entries() {
        yield* files.entries();
        rmSync(join(path, 'src/f9'));
      },
    },
  };
  await assert.rejects(build({ contexts: new Map([['context', gone]]) }), (error: BuildFailedError) =>
    /src\/f9/.test(error.failure.message),
  );
  assert.deepEqual(
    readdirSync(join(directory, 'root/contexts')).filter((name) => name.startsWith('t-')),
    [],
  );
});

test('events, Dockerfile, secrets, agents, credentials and outputs go where they belong', async () => {
  const events: BuildProgress[] = [];
  const asked: string[] = [];
  const written: Buffer[] = [];
  const told: unknown[] = [];
  const at = new Date('2026-01-02T03:04:05.678Z');
  work = async (_request, client, signal) => {
    client.report({ kind: 'vertex', vertex: { digest: 'sha256:1', inputs: [], name: '[1/1] RUN x', startedAt: at } });
    client.report({ kind: 'log', vertex: 'sha256:1', stream: 'stdout', bytes: Buffer.from([0, 255, 10]), at });
    const given = await client.dockerfile(signal);
    told.push(given?.name, Buffer.from(given?.text ?? []).toString(), given?.ignoreFile);
    told.push(Buffer.from((await client.secret('known', signal)) ?? []).toString(), await client.secret('unknown', signal));
    told.push(await client.hasSshAgent('default', signal), await client.hasSshAgent('other', signal));
    const agent = await client.connectSshAgent('default', signal);
    agent.end('ping');
    told.push((await agent.toArray()).join(''));
    told.push(await client.credentials('docker.io', signal), await client.credentials('nobody.example', signal));
    const output = await client.output(0, signal);
    for (let number = 0; number < 50; number++) output.write(Buffer.alloc(100_000, number));
    output.end();
    await finished(output);
    told.push(written.reduce((sum, { length }) => sum + length, 0));
    await assert.rejects(client.context('none', signal), { code: 'not-found' });
  };
  const result = await build({
    onEvent: (event) => events.push(event),
    dockerfile: { name: 'Dockerfile.dev', text: Buffer.from('FROM scratch\n'), ignoreFile: 'x\n' },
    secret: async (id) => {
      asked.push(id);
      return id === 'known' ? Buffer.from('s3cret') : null;
    },
    hasSshAgent: (id) => id === 'default',
    connectSshAgent: async () =>
      Duplex.from(async function* (source: AsyncIterable<Buffer>) {
        for await (const chunk of source) yield `agent says ${chunk}`;
      }),
    credentials: async (registry) => (registry === 'docker.io' ? { username: 'u', password: 'p' } : null),
    output: async () =>
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          written.push(chunk);
          setImmediate(done);
        },
      }),
  });
  assert.deepEqual(result.names, outcome.names);
  assert.deepEqual(told, [
    'Dockerfile.dev',
    'FROM scratch\n',
    'x\n',
    's3cret',
    null,
    true,
    false,
    'agent says ping',
    { kind: 'basic', username: 'u', password: 'p' },
    null,
    5_000_000,
  ]);
  assert.deepEqual(asked, ['known', 'unknown']);
  assert.deepEqual(events, [
    { kind: 'vertex', vertex: { digest: 'sha256:1', inputs: [], name: '[1/1] RUN x', startedAt: at } },
    { kind: 'log', vertex: 'sha256:1', stream: 'stdout', bytes: Buffer.from([0, 255, 10]), at },
  ]);
});

test('a build that fails is told with everything that is shown of it', async () => {
  const failure = {
    message: 'process "/bin/sh -c x" did not complete',
    exitCode: 3,
    step: '[1/1] RUN x',
    lastLines: ['no'],
    excerpt: '>>> RUN x',
    stateImage: null,
  };
  work = async () => {
    throw new BuildError(failure);
  };
  await assert.rejects(build({}), (error: BuildFailedError) => {
    assert.deepEqual(error.failure, failure);
    return true;
  });
});

test('a client that leaves cancels its build, and one that cancels leaves', async () => {
  const abort = new AbortController();
  const cancelled = Promise.withResolvers<string>();
  work = async (_request, _client, signal) => {
    signal.addEventListener('abort', () => cancelled.resolve(String(signal.reason)), { once: true });
    abort.abort(new Error('stopped by hand'));
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  };
  await assert.rejects(build({}, abort.signal), /stopped by hand/);
  assert.match(await cancelled.promise, /the client closed the connection/);
});

test('SEC-18 wrong requests get a 400 before anything is built', async () => {
  work = async () => assert.fail('nothing is to be built');
  const wrong = { ...minimal, target: 5 } as unknown as BuildRequestBody;
  await assert.rejects(build({}, new AbortController().signal, wrong), {
    status: 400,
    message: 'invalid build request: target must be a string',
  });
  await assert.rejects(api.call('POST', '/gantry/build', { json: minimal }), {
    status: 400,
    message: /needs the headers Connection: Upgrade/,
  });
  const socket = connect(join(directory, 's'));
  socket.end(
    'POST /gantry/build HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\nConnection: Upgrade\r\nUpgrade: gantry-build\r\n\r\n{',
  );
  assert.match((await socket.toArray()).join(''), /^HTTP\/1\.1 400 /);
});

test('SEC-20 addresses of git and the web as contexts, from servers of this machine', async () => {
  const repositories = join(directory, 'repositories');
  makeRepository(repositories, 'p.git', { Dockerfile: 'FROM scratch\n', 'sub/f': 'x' });
  const gitServer = await serveGit(repositories);
  const web = createServer((_request, response) => response.end('content'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const signal = new AbortController().signal;
  try {
    const request = { keepGitDirectory: false, checksum: null, secret: async () => null, connectSshAgent: null };
    const fetched = await store.git({ ...request, url: `${gitServer.url}/p.git#main:sub` }, signal);
    assert.deepEqual(readdirSync(fetched.files.directory), ['f']);
    await fetched.release();
    for (const url of [
      `${gitServer.url}/p.git#--upload-pack=x`,
      `${gitServer.url}/p.git#main:../x`,
      `ext::touch ${directory}/ran`,
      `file://${repositories}/p.git`,
    ]) {
      await assert.rejects(store.git({ ...request, url }, signal), { code: 'invalid' }, url);
    }
    assert.equal(existsSync(join(directory, 'ran')), false);
    const file = await store.http(
      { url: `http://127.0.0.1:${(web.address() as AddressInfo).port}/a/f.txt`, checksum: null, unpack: false, secret: async () => null },
      signal,
    );
    assert.deepEqual([file.fileName, readFileSync(join(file.files.directory, 'f.txt'), 'utf8')], ['f.txt', 'content']);
    await file.release();
  } finally {
    gitServer.close();
    web.close();
    web.closeAllConnections();
  }
});
