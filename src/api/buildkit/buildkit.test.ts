/** BuildKit's protocol with gRPC's own library on the other side, and a builder made of memory behind it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, it } from 'node:test';
import {
  archiveOf,
  type BuildxBuild,
  BuildxError,
  buildxBuild,
  decodeMessage,
  GrpcConnection,
  openSession,
  upgrade,
} from '../../../test/harness/buildx-client.ts';
import type { Digest, ImageId } from '../../base/brand.ts';
import { EngineError } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import type { BuildClient, SyncEntry } from '../../build/build-client.ts';
import type { Vertex } from '../../build/build-event.ts';
import { createApiServer } from '../api-server.ts';
import { type FakeBuild, FakeBuildError, FakeBuilder } from '../fixtures/fake-builder.ts';
import { fakeServices } from '../fixtures/fake-services.ts';
import { serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const image = `sha256:${'fe'.repeat(32)}` as ImageId;
const hangMs = 20_000;

interface Stage extends AsyncDisposable {
  readonly path: string;
  readonly directory: string;
  readonly builder: FakeBuilder;
  folder(name: string, files: Readonly<Record<string, string>>): string;
  build(build: BuildxBuild): ReturnType<typeof buildxBuild>;
}

async function stage(work: FakeBuild = async () => ({})): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'g-buildkit-'));
  mkdirSync(join(directory, 'build/tmp'), { recursive: true });
  const builder = new FakeBuilder(work);
  const fake = fakeServices();
  const system = { ...fake.system, dataRoot: directory };
  const routes = apiRoutes({ ...fake, system, builder });
  const server = await serveOnUnix(createApiServer({ routes, engineVersion: '0.1.0', logger: silentLogger }).createListener());
  return {
    path: server.path,
    directory,
    builder,
    folder(name, files) {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(join(directory, name, path, '..'), { recursive: true });
        writeFileSync(join(directory, name, path), text);
      }
      return join(directory, name);
    },
    build: (build) => buildxBuild(server.path, build),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

const signal = AbortSignal.timeout(5 * 60_000);

async function read(
  client: BuildClient,
  name = 'context',
): Promise<{ readonly entries: SyncEntry[]; readonly texts: Record<string, string> }> {
  const transfer = await client.context(name, signal);
  assert.equal(transfer.kind, 'sync');
  if (transfer.kind !== 'sync') throw new Error('no sync');
  const entries: SyncEntry[] = [];
  for await (const batch of transfer.sync.entries()) entries.push(...batch);
  const readOne = async (index: number) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of transfer.sync.read(index)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  const texts = await Promise.all(
    entries.flatMap(({ type, path }, index) => (type === 'file' ? [readOne(index).then((text) => [path, text] as const)] : [])),
  );
  await transfer.sync.finish();
  return { entries, texts: Object.fromEntries(texts) };
}

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

describe('a build by the gateway, as buildx does it', { timeout: 5 * 60_000 }, () => {
  it('files, progress and the answer', async () => {
    const big = 'x'.repeat(3_000_000);
    await using stand = await stage(async (_request, client) => {
      const file = await client.dockerfile(signal);
      assert.equal(Buffer.from(file?.text ?? []).toString(), 'FROM busybox\n');
      assert.equal(file?.ignoreFile, 'secret\n# no\n/ünïcode dir/\n');
      const { entries, texts } = await read(client);
      assert.deepEqual(
        entries.map(({ path, type }) => `${type} ${path}`),
        ['file .dockerignore', 'file Dockerfile', 'directory a', 'file a/b', 'file big', 'symbolic-link link'],
      );
      assert.deepEqual(Object.keys(texts), ['.dockerignore', 'Dockerfile', 'a/b', 'big']);
      assert.equal(texts['a/b'], 'content of a/b');
      assert.equal(texts.big, big);
      assert.equal(entries.at(-1)?.linkTarget, 'a/b');
      const vertex: Vertex = { digest: digest('a'), inputs: [], name: '[1/1] RUN make', startedAt: new Date(1000) };
      client.report({ kind: 'vertex', vertex });
      client.report({ kind: 'log', vertex: vertex.digest, stream: 'stdout', bytes: Buffer.from('made\n'), at: new Date() });
      const status = { id: 'exporting layers', vertex: vertex.digest, name: '', current: 5, total: 7, startedAt: new Date() };
      client.report({ kind: 'status', status });
      client.report({ kind: 'vertex', vertex: { ...vertex, completedAt: new Date(2500), cached: true } });
      return { imageId: image, configDigest: image as string as Digest, names: ['docker.io/library/x:1'] };
    });
    const context = stand.folder('ctx', {
      Dockerfile: 'FROM busybox\n',
      '.dockerignore': 'secret\n# no\n/ünïcode dir/\n',
      secret: '1',
      'ünïcode dir/x': '2',
      'a/b': 'content of a/b',
      big,
    });
    symlinkSync('a/b', join(context, 'link'));
    const { response, status, trace, result } = await stand.build({
      session: { folders: { context, dockerfile: context } },
      sharedKey: 'ctx:me',
      options: { 'build-arg:A': '1', 'label:l': 'v', target: 'prod', 'no-cache': '' },
      exporters: [{ Type: 'moby', Attrs: { name: 'docker.io/library/x:1,docker.io/library/x:2' } }],
    });
    assert.deepEqual(response, {
      'containerimage.digest': image,
      'containerimage.config.digest': image,
      'image.name': 'docker.io/library/x:1',
    });
    assert.match(result.reference?.id ?? '', /^[0-9a-f]{25}$/);
    const [request] = stand.builder.requests;
    assert.deepEqual([request?.target, request?.noCache, request?.dockerfilePath], ['prod', 'all', 'Dockerfile']);
    assert.deepEqual([...(request?.buildArguments ?? [])], [['A', '1']]);
    assert.deepEqual(request?.outputs[0]?.names, ['docker.io/library/x:1', 'docker.io/library/x:2']);
    assert.deepEqual(
      trace.folders.map(({ name }) => name),
      ['dockerfile', 'context', 'context'],
    );
    assert.deepEqual(trace.folders[0]?.follow, ['Dockerfile', 'dockerfile', 'Dockerfile.dockerignore']);
    assert.deepEqual(trace.folders[2]?.exclude, ['secret', 'ünïcode dir']);
    const told = status.flatMap(({ vertexes }) => vertexes).filter(({ completed }) => completed !== null);
    assert.deepEqual([told[0]?.name, told[0]?.cached, told[0]?.completed], ['[1/1] RUN make', true, { seconds: 2, nanos: 500_000_000 }]);
    assert.equal(Buffer.concat(status.flatMap(({ logs }) => logs.map(({ msg }) => msg))).toString(), 'made\n');
    assert.deepEqual(
      status.flatMap(({ statuses }) => statuses.map(({ ID, current }) => [ID, current])),
      [['exporting layers', 5]],
    );
  });

  it('Status and Ping may come before Solve', async () => {
    await using stand = await stage();
    const { response } = await stand.build({ session: { folders: {} }, statusFirst: true });
    assert.equal(response['containerimage.digest'], image);
  });

  it('secrets, agent, credentials: what the client has, and what it has not', async () => {
    await using stand = await stage(async (_request, client) => {
      assert.equal(Buffer.from((await client.secret('token', signal)) ?? []).toString(), 'hush');
      assert.equal(await client.secret('other', signal), null);
      assert.deepEqual(await client.credentials('docker.io', signal), { kind: 'basic', username: 'u', password: 'p' });
      assert.deepEqual(await client.credentials('r.example', signal), { kind: 'identity-token', token: 't' });
      assert.equal(await client.credentials('localhost:5000', signal), null);
      assert.equal(await client.hasSshAgent('nobody', signal), false);
      assert.equal(await client.hasSshAgent('default', signal), true);
      const agent = await client.connectSshAgent('default', signal);
      agent.write('ping');
      const [answer] = await agent.take(1).toArray();
      assert.equal(String(answer), 'pong: ping');
      agent.destroy();
      return {};
    });
    const agentPath = join(stand.directory, 'agent');
    await using _agent = createServer((socket) => socket.on('data', (data) => socket.write(`pong: ${data}`))).listen(agentPath);
    await stand.build({
      session: {
        folders: {},
        secrets: { token: Buffer.from('hush') },
        agents: { default: agentPath },
        credentials: { 'registry-1.docker.io': { username: 'u', secret: 'p' }, 'r.example': { username: '', secret: 't' } },
      },
    });
  });

  it('a client that serves nothing has nothing', async () => {
    await using stand = await stage(async (_request, client) => {
      assert.equal(await client.secret('token', signal), null);
      assert.equal(await client.hasSshAgent('default', signal), false);
      return {};
    });
    await stand.build({ session: { folders: {} } });
  });

  it('a tar from stdin comes by Upload/Pull, and the Dockerfile is in it', async () => {
    const tar = Buffer.alloc(200_000, 'tar');
    await using stand = await stage(async (_request, client) => {
      assert.equal(await client.dockerfile(signal), null);
      const transfer = await client.context('context', signal);
      assert.equal(transfer.kind, 'tar');
      if (transfer.kind === 'tar') assert.deepEqual(Buffer.concat(await transfer.stream.toArray()), tar);
      return {};
    });
    await stand.build({ session: { folders: {}, uploads: { '/abc': tar } }, options: { context: 'http://buildkit-session/abc' } });
  });

  it('named folders have their own ignore file', async () => {
    await using stand = await stage(async (request, client) => {
      assert.deepEqual(request.namedContexts.get('other'), { kind: 'client', name: 'context:other' });
      assert.deepEqual(request.namedContexts.get('base'), { kind: 'image', reference: 'alpine:3' });
      const { texts } = await read(client, 'context:other');
      assert.deepEqual(Object.keys(texts), ['.dockerignore', 'x']);
      return {};
    });
    const other = stand.folder('other', { '.dockerignore': 'y', x: '1', y: '2' });
    await stand.build({
      session: { folders: { named: other } },
      options: { 'context:other': 'local:named', 'context:base': 'docker-image://alpine:3' },
    });
  });

  it('a folder that the client does not share is refused by it', async () => {
    await using stand = await stage(async (_request, client) => {
      await read(client);
      return {};
    });
    await assert.rejects(stand.build({ session: { folders: {} } }), /no access allowed to dir "dockerfile"/);
  });
});

describe('outputs', { timeout: 5 * 60_000 }, () => {
  const archive = () =>
    archiveOf([
      { entry: { type: 'directory', path: 'z' } },
      { entry: { type: 'file', path: 'z/file', mode: 0o755 }, content: Buffer.alloc(100_000, 'z') },
      { entry: { type: 'hard-link', path: 'a', linkTarget: 'z/file' } },
      { entry: { type: 'file', path: 'deep/er/file' }, content: Buffer.from('deep') },
      { entry: { type: 'symbolic-link', path: 'link', linkTarget: 'z/file' } },
    ]);

  it('local: the client gets files, tar: bytes', async () => {
    await using stand = await stage(async (request, client) => {
      for (const { clientOutput } of request.outputs) await pipeline(archive(), await client.output(clientOutput, signal));
      return { imageId: null };
    });
    const out = stand.folder('out', {});
    mkdirSync(out);
    const tar = join(stand.directory, 'out.tar');
    const { response } = await stand.build({
      session: { folders: {}, outputFolders: { 0: out }, outputFiles: { 1: tar } },
      exporters: [{ Type: 'local' }, { Type: 'tar' }],
    });
    assert.deepEqual(response, {});
    assert.equal(readFileSync(join(out, 'a'), 'utf8'), 'z'.repeat(100_000));
    assert.equal(readFileSync(join(out, 'z/file'), 'utf8'), 'link to a');
    assert.equal(readFileSync(join(out, 'deep/er/file'), 'utf8'), 'deep');
    assert.equal(readFileSync(join(out, 'link'), 'utf8'), 'link to a');
    assert.deepEqual(readFileSync(tar), Buffer.concat(await all(archive())));
  });

  it('an exporter that is not known, or an attribute that cannot be kept, is refused by name', async () => {
    await using stand = await stage();
    const build = (Type: string, Attrs = {}) => stand.build({ session: { folders: {} }, exporters: [{ Type, Attrs }] });
    await assert.rejects(build('floppy'), /exporter "floppy" could not be found/);
    await assert.rejects(build('image', { 'push-by-digest': 'true' }), /push-by-digest/);
  });
});

describe('failures', { timeout: 5 * 60_000 }, () => {
  it('a failing RUN: message, vertex with its error, and the place in the Dockerfile', async () => {
    const message = 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3';
    await using stand = await stage(async (_request, client) => {
      await client.dockerfile(signal);
      const place = { startLine: 2, endLine: 2 };
      client.report({ kind: 'vertex', vertex: { digest: digest('b'), inputs: [], name: '[2/2] RUN exit 3', error: message, place } });
      throw new FakeBuildError({ message, exitCode: 3 });
    });
    const context = stand.folder('ctx', { Dockerfile: 'FROM busybox\nRUN exit 3\n' });
    const failed = await stand.build({ session: { folders: { context, dockerfile: context } } }).then(
      () => assert.fail('it was built'),
      (error: unknown) => error as BuildxError,
    );
    assert.ok(failed instanceof BuildxError);
    assert.deepEqual([failed.message, failed.code], [message, 2]);
    assert.equal(failed.status.flatMap(({ vertexes }) => vertexes)[0]?.error, message);
    assert.equal(failed.details[0]?.type_url, 'errdefs.Source');
    const source = decodeMessage('moby.buildkit.v1.Source', failed.details[0]?.value ?? Buffer.alloc(0)) as {
      info: { filename: string; data: Buffer };
      ranges: { start: { line: number } }[];
    };
    assert.deepEqual([source.info.filename, String(source.info.data)], ['Dockerfile', 'FROM busybox\nRUN exit 3\n']);
    assert.equal(source.ranges[0]?.start.line, 2);
  });

  it('texts that are not ASCII come whole', async () => {
    await using stand = await stage(async () => {
      throw new EngineError('invalid', 'größer als 100 % – „so“\nzweite Zeile');
    });
    await assert.rejects(stand.build({ session: { folders: {} } }), { message: 'größer als 100 % – „so“\nzweite Zeile' });
  });

  it('the client takes its build back: it ends here', async () => {
    const begun = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<unknown>();
    await using stand = await stage((_request, _client, stop) => {
      begun.resolve();
      stop.addEventListener('abort', () => ended.resolve(stop.reason));
      return new Promise((_resolve, reject) => stop.addEventListener('abort', () => reject(stop.reason)));
    });
    const stop = new AbortController();
    const building = stand.build({ session: { folders: {} }, signal: stop.signal });
    building.catch(() => {});
    await begun.promise;
    stop.abort();
    await assert.rejects(building);
    assert.match(String(await ended.promise), /context canceled/);
  });

  it('the session breaks: the build ends', async () => {
    const ended = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    await using stand = await stage((_request, _client, stop) => {
      begun.resolve();
      stop.addEventListener('abort', () => ended.resolve());
      return new Promise((_resolve, reject) => stop.addEventListener('abort', () => reject(stop.reason)));
    });
    await using connection = await GrpcConnection.open(stand.path);
    const session = await openSession(stand.path, { folders: {} });
    const solving = connection.unary('Control.Solve', {
      Ref: 'r1',
      Session: session.id,
      Frontend: 'dockerfile.v0',
      Exporters: [{ Type: 'moby' }],
    });
    solving.catch(() => {});
    await begun.promise;
    session.socket.destroy();
    await assert.rejects(solving, /context canceled/);
    await ended.promise;
  });

  it('what is not served is said to be unimplemented', async () => {
    await using stand = await stage();
    await using connection = await GrpcConnection.open(stand.path);
    await assert.rejects(all(connection.stream('Control.ListenBuildHistory', { ActiveOnly: true, EarlyExit: true })), { code: 12 });
    const llb = { Ref: 'r2', Definition: { def: [Buffer.from('x')] } };
    await assert.rejects(connection.unary('Control.Solve', llb), /LLB are not supported/);
    await assert.rejects(
      stand.build({ session: { folders: {} }, frontend: 'gateway.v0', options: { source: 'evil/frontend' } }),
      /evil\/frontend/,
    );
    await stand.build({ session: { folders: {} }, frontend: 'gateway.v0', options: { source: 'docker/dockerfile:1.4' } });
  });
});

describe('Control', { timeout: 5 * 60_000 }, () => {
  it('workers and version', async () => {
    await using stand = await stage();
    await using connection = await GrpcConnection.open(stand.path);
    const { record } = (await connection.unary('Control.ListWorkers', {})) as {
      record: { ID: string; Labels: object; platforms: { OS: string }[] }[];
    };
    assert.equal(record.length, 1);
    assert.equal(record[0]?.platforms[0]?.OS, 'linux');
    assert.ok(Object.keys(record[0]?.Labels ?? {}).includes('org.mobyproject.buildkit.worker.snapshotter'));
    const info = (await connection.unary('Control.Info', {})) as { buildkitVersion: { version: string } };
    assert.match(info.buildkitVersion.version, /^v/);
  });

  it('the probe for capabilities builds nothing', async () => {
    await using stand = await stage();
    await using connection = await GrpcConnection.open(stand.path);
    await using session = await openSession(stand.path, { folders: {} });
    const solved = connection.unary('Control.Solve', { Ref: 'probe', Session: session.id, Internal: true });
    const { Metadata } = await import('@grpc/grpc-js');
    const metadata = new Metadata();
    metadata.set('buildkit-controlapi-buildid', 'probe');
    const pong = (await connection.unary('LLBBridge.Ping', {}, { metadata })) as { FrontendAPICaps: { ID: string; Enabled: boolean }[] };
    assert.ok(pong.FrontendAPICaps.some(({ ID, Enabled }) => ID === 'return' && Enabled));
    await connection.unary('LLBBridge.Return', { result: { ref: { id: '' } } }, { metadata });
    assert.deepEqual(await solved, { ExporterResponse: {} });
    assert.equal(stand.builder.requests.length, 0);
    assert.deepEqual(await all(connection.stream('Control.Status', { Ref: 'probe' })), []);
  });

  it('a build asked for directly, as buildctl does', async () => {
    await using stand = await stage(async (_request, client) => {
      client.report({
        kind: 'vertex',
        vertex: { digest: digest('c'), inputs: [], name: 'late', startedAt: new Date(), completedAt: new Date() },
      });
      return { imageId: image };
    });
    await using connection = await GrpcConnection.open(stand.path);
    await using session = await openSession(stand.path, { folders: {} });
    const request = {
      Ref: 'r3',
      Session: session.id,
      Frontend: 'dockerfile.v0',
      ExporterDeprecated: 'image',
      ExporterAttrsDeprecated: { name: 'x' },
    };
    assert.deepEqual(await connection.unary('Control.Solve', request), { ExporterResponse: { 'containerimage.digest': image } });
    assert.deepEqual(stand.builder.requests[0]?.outputs[0]?.names, ['docker.io/library/x:latest']);
    // A status that is asked for after the end has it all.
    const [late] = await all(connection.stream('Control.Status', { Ref: 'r3' }));
    assert.deepEqual(
      (late?.vertexes as { name: string }[] | undefined)?.map(({ name }) => name),
      ['late'],
    );
  });

  it('du and prune', async () => {
    await using stand = await stage();
    const record = { description: '', shared: false, inUse: false, createdAt: new Date(0), lastUsedAt: null, usageCount: 1, parents: [] };
    stand.builder.usage = [
      { ...record, id: 'a', type: 'regular', sizeBytes: 10 },
      { ...record, id: 'b', type: 'exec.cachemount', sizeBytes: 20 },
    ];
    await using connection = await GrpcConnection.open(stand.path);
    const ids = async (filter: string[]) =>
      ((await connection.unary('Control.DiskUsage', { filter })) as { record: { ID: string }[] }).record.map(({ ID }) => ID);
    assert.deepEqual(await ids([]), ['a', 'b']);
    assert.deepEqual(await ids(['type==exec.cachemount']), ['b']);
    await assert.rejects(ids(['colour==red']), { code: 3 });
    const pruned = await all(connection.stream('Control.Prune', { all: true, keepDuration: 3_600e9 }));
    assert.deepEqual(
      pruned.map(({ ID }) => ID),
      ['a', 'b'],
    );
    assert.deepEqual([stand.builder.pruned[0]?.all, stand.builder.pruned[0]?.ids], [true, []]);
  });

  it('a result of one build is a context of another (targets of bake)', async () => {
    await using stand = await stage();
    const seen: unknown[] = [];
    await stand.build({
      session: { folders: {} },
      exporters: [],
      async whileBuilt({ reference }) {
        await stand.build({ session: { folders: {} }, options: { 'context:base': 'input:base' }, inputs: { base: reference?.def } });
        seen.push(stand.builder.requests.at(-1)?.namedContexts.get('base'));
      },
    });
    assert.deepEqual(seen, [{ kind: 'image', reference: image }]);
  });
});

describe('SEC-18 what is no BuildKit client', { timeout: 5 * 60_000 }, () => {
  it('without an upgrade, or with another one, or without an id', async () => {
    await using stand = await stage();
    await assert.rejects(upgrade(stand.path, '/grpc', { Upgrade: 'websocket' }), /protocol websocket not supported/);
    await assert.rejects(upgrade(stand.path, '/session'), /the session has no id/);
    await using session = await openSession(stand.path, { folders: {} });
    await assert.rejects(upgrade(stand.path, '/session', { 'X-Docker-Expose-Session-Uuid': session.id }), /already exists/);
  });

  it('a client that does not wait for the answer', async () => {
    await using stand = await stage();
    const socket = connect(stand.path);
    const preface = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from('000000040000000000', 'hex')]);
    const ping = Buffer.from('0000080600000000000102030405060708', 'hex');
    const head = 'POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n';
    socket.write(Buffer.concat([Buffer.from(head), preface, ping]));
    const answered = Buffer.from('0000080601000000000102030405060708', 'hex');
    let seen: Buffer = Buffer.alloc(0);
    for await (const chunk of socket) {
      seen = Buffer.concat([seen, chunk as Buffer]);
      if (seen.includes(answered)) break;
    }
    assert.match(seen.toString('latin1'), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.ok(seen.includes(answered));
  });

  it('garbage ends its connection, and nothing else', async () => {
    await using stand = await stage();
    for (let round = 0; round < 40; round += 1) {
      const headers = { 'X-Docker-Expose-Session-Uuid': `garbage-${round}` };
      const socket = await upgrade(stand.path, round % 2 === 0 ? '/grpc' : '/session', headers);
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.on('error', () => {});
      socket.resume();
      const noise = Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 7919 * (round + 1)) % 251));
      socket.write(round % 4 < 2 ? noise : Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), noise]));
      socket.end();
      await Promise.race([
        closed,
        new Promise((_resolve, reject) => setTimeout(() => reject(new Error(`round ${round} hangs`)), hangMs).unref()),
      ]);
    }
    await stand.build({ session: { folders: {} } });
  });
});
