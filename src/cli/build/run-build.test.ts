import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, it } from 'node:test';
import { writeTar } from '../../archive/tar-writer.ts';
import { ApiError } from '../../client/api-client.ts';
import { BuildFailedError, type BuildRequestBody, type BuildResult, type BuildSide } from '../../client/build-types.ts';
import type { StartBuild } from './build-session.ts';
import { buildFolder } from './testing/build-command.ts';

const CONFIG = `sha256:${'c'.repeat(64)}`;
const MANIFEST = `sha256:${'d'.repeat(64)}`;
const WARNING = {
  rule: 'StageNameCasing',
  short: "StageNameCasing: Stage name 'Web' should be lowercase",
  detail: '',
  url: '',
  place: { startLine: 1, endLine: 1 },
  vertex: '',
};
const RESULT: BuildResult = {
  imageId: CONFIG,
  configDigest: CONFIG,
  digest: MANIFEST,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  sizeBytes: 500,
  names: ['docker.io/library/a:latest', 'docker.io/library/b:1'],
  warnings: [],
  answer: null,
  provenance: null,
};

/** A session that ends as it is told, and keeps what it was asked. */
function session(result: Partial<BuildResult> = {}, act: (side: BuildSide) => Promise<void> | void = () => {}) {
  const asked: BuildRequestBody[] = [];
  const start: StartBuild = async (_api, request, side) => {
    asked.push(request);
    await act(side);
    return { ...RESULT, ...result };
  };
  return { start, asked };
}

const failing =
  (error: Error): StartBuild =>
  async () => {
    throw error;
  };

const FAILURE = {
  message: 'process "/bin/sh -c false" did not complete successfully: exit code: 1',
  exitCode: 1,
  step: '[2/2] RUN false',
  lastLines: ['oh'],
  excerpt: 'Dockerfile:2\n',
  stateImage: null,
};

describe('gantry build', () => {
  it('prints nothing to standard output, and the image ID with -q', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    const show = (side: BuildSide): void =>
      side.onEvent({
        kind: 'vertex',
        vertex: { digest: 'a', name: '[1/1] X', inputs: [], startedAt: new Date(), completedAt: new Date() },
      });
    const loud = folder.context('.');
    assert.equal(await loud.run(session({}, show).start), 0);
    assert.deepEqual([loud.stdout(), loud.stderr()], ['', '#1 [1/1] X\n#1 DONE 0.0s\n']);
    const quiet = folder.context('-q .');
    assert.equal(await quiet.run(session({}, show).start), 0);
    assert.deepEqual([quiet.stdout(), quiet.stderr()], [`${CONFIG}\n`, '']);
  });

  it('asks for what the command line says', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    const { start, asked } = session();
    await folder.context('-t a --explain --timestamp=7 --target x .').run(start);
    const [request] = asked;
    assert.match(request?.id ?? '', /^[0-9a-f]{32}$/);
    assert.deepEqual(
      [
        request?.context,
        request?.epoch,
        request?.explain,
        request?.keepFailed,
        request?.target,
        request?.outputs.map(({ names, clientOutput }) => [names, clientOutput]),
      ],
      [{ kind: 'client', name: 'context' }, 7, true, false, 'x', [[['docker.io/library/a:latest'], 0]]],
    );
  });

  it('writes the ID without line break, and what buildx writes about the image', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch', id: 'old' });
    const run = folder.context('--iidfile id --metadata-file meta.json .');
    const { start, asked } = session();
    assert.equal(await run.run(start), 0);
    assert.equal(readFileSync(`${folder.path}/id`, 'utf8'), CONFIG);
    assert.deepEqual(JSON.parse(readFileSync(`${folder.path}/meta.json`, 'utf8')), {
      'buildx.build.ref': `default/default/${asked[0]?.id}`,
      'containerimage.config.digest': CONFIG,
      'containerimage.descriptor': { mediaType: RESULT.mediaType, digest: MANIFEST, size: 500 },
      'containerimage.digest': MANIFEST,
      'image.name': 'docker.io/library/a:latest,docker.io/library/b:1',
    });
    await folder.context('--iidfile id .').run(session({ configDigest: null, imageId: null }).start);
    assert.equal(readFileSync(`${folder.path}/id`, 'utf8'), MANIFEST);
  });

  it('leaves no old ID behind when the build fails, and refuses a file that cannot be written first', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch', id: 'old' });
    assert.equal(await folder.context('--iidfile id .').run(failing(new BuildFailedError(FAILURE))), 1);
    assert.equal(existsSync(`${folder.path}/id`), false);
    const { start, asked } = session();
    await assert.rejects(folder.context('--iidfile none/id .').run(start), /cannot write none\/id/);
    assert.equal(asked.length, 0);
  });

  it('tells why it failed: last lines, excerpt, error, exit code 1', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    for (const line of ['.', '-q .']) {
      const run = folder.context(line);
      assert.equal(await run.run(failing(new BuildFailedError(FAILURE))), 1);
      assert.deepEqual(
        [run.stdout(), run.stderr()],
        ['', `------\n > [2/2] RUN false:\noh\n------\nDockerfile:2\nERROR: failed to solve: ${FAILURE.message}\n`],
      );
    }
  });

  it('tells what the daemon refuses', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    const run = folder.context('.');
    assert.equal(await run.run(failing(new ApiError(400, 'no such platform', {}))), 1);
    assert.equal(run.stderr(), 'ERROR: failed to solve: Error response from daemon: no such platform\n');
  });

  it('sums up warnings at the end', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    const run = folder.context('.');
    assert.equal(await run.run(session({ warnings: [WARNING] }).start), 0);
    assert.equal(run.stderr(), `\n 1 warning found (gantry build --check shows the lines):\n - ${WARNING.short} (line 1)\n`);
  });

  it('explains every step', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    const run = folder.context('--explain .');
    const tell = (side: BuildSide): void => {
      side.onEvent({ kind: 'vertex', vertex: { digest: 'a', name: '[2/2] RUN x', inputs: [] } });
      side.onEvent({ kind: 'explanation', vertex: 'a', explanation: { cached: false, reasons: ['never built before'] } });
    };
    assert.equal(await run.run(session({}, tell).start), 0);
    assert.equal(run.stdout(), 'MISS  [2/2] RUN x: never built before\n');
  });

  it('prints the answer of a call; checks that find something end with 1', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    const answer = { text: 'Check complete', json: { warnings: [] } };
    const clean = folder.context('--check .');
    assert.equal(await clean.run(session({ answer }).start), 0);
    assert.equal(clean.stdout(), 'Check complete\n');
    assert.equal(await folder.context('--check .').run(session({ answer, warnings: [WARNING] }).start), 1);
    assert.equal(await folder.context('--call check,ignorestatus=true .').run(session({ answer, warnings: [WARNING] }).start), 0);
    const json = folder.context('--call targets,format=json .');
    assert.equal(await json.run(session({ answer, warnings: [WARNING] }).start), 0);
    assert.deepEqual(JSON.parse(json.stdout()), { warnings: [] });
  });

  it('gives secrets, an agent, and nothing that was not named', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch', key: 'hush' });
    const server = createServer((socket) => socket.resume().end('agent'));
    await new Promise<void>((resolve) => server.listen(`${folder.path}/agent.sock`, resolve));
    const ask = async (side: BuildSide): Promise<void> => {
      assert.deepEqual([String(await side.secret('k')), String(await side.secret('e')), await side.secret('other')], ['hush', 'env', null]);
      assert.deepEqual([side.hasSshAgent('default'), side.hasSshAgent('x')], [true, false]);
      const [chunk] = await (await side.connectSshAgent('default')).toArray();
      assert.equal(String(chunk), 'agent');
      assert.equal(await side.credentials('registry.example'), null);
    };
    const env = { E: 'env', SSH_AUTH_SOCK: `${folder.path}/agent.sock` };
    try {
      assert.equal(
        await folder.context('--secret id=k,src=key --secret id=e,env=E --ssh default .', { env }).run(session({}, ask).start),
        0,
      );
    } finally {
      server.close();
    }
    await assert.rejects(folder.context('--ssh default .').run(session().start), /SSH_AUTH_SOCK is not set/);
  });

  it('takes caches of directories, and tells of one that is not there yet', async () => {
    using folder = buildFolder({ 'app/Dockerfile': 'FROM scratch', 'cache/index.json': '{}' });
    const run = folder.context('--cache-from type=local,src=cache --cache-from type=local,src=none --cache-to type=local,dest=out app');
    const names: string[][] = [];
    const { start, asked } = session({}, async (side) => {
      names.push([...side.contexts.keys()]);
      const sink = await side.output('cache-to:0');
      sink.end(await buffer(writeTar([{ entry: { type: 'file', path: 'index.json' }, content: Buffer.from('new') }])));
      await finished(sink);
    });
    assert.equal(await run.run(start), 0);
    assert.deepEqual(names, [['context', 'cache-from:0']]);
    assert.deepEqual(
      [asked[0]?.cacheFrom.map(({ client }) => client), asked[0]?.cacheTo.map(({ client }) => client)],
      [['cache-from:0'], ['cache-to:0']],
    );
    assert.equal(readFileSync(`${folder.path}/out/index.json`, 'utf8'), 'new');
    assert.match(run.stderr(), /there is no cache in none yet/);
  });
});

describe('outputs of a build', () => {
  const tar = (files: Readonly<Record<string, string>>): Promise<Buffer> =>
    buffer(writeTar(Object.entries(files).map(([path, text]) => ({ entry: { type: 'file' as const, path }, content: Buffer.from(text) }))));
  const sending = (bytes: Buffer) =>
    session({ imageId: null, configDigest: null, digest: null }, async (side) => {
      const sink = await side.output(0);
      sink.end(bytes);
      await finished(sink);
    }).start;

  it('go to a directory, beside what is there, or instead of it', async () => {
    using folder = buildFolder({ 'app/Dockerfile': '', 'out/old': '', 'out/sub/old': '' });
    const bytes = await tar({ 'bin/tool': 'x', 'sub/new': 'y' });
    assert.equal(await folder.context('-o out app').run(sending(bytes)), 0);
    assert.deepEqual(readdirSync(`${folder.path}/out`, { recursive: true }).sort(), [
      'bin',
      'bin/tool',
      'old',
      'sub',
      'sub/new',
      'sub/old',
    ]);
    assert.equal(await folder.context('-o type=local,dest=out,mode=delete app').run(sending(bytes)), 0);
    assert.deepEqual(readdirSync(`${folder.path}/out`, { recursive: true }).sort(), ['bin', 'bin/tool', 'sub', 'sub/new']);
  });

  it('go to a file that is whole or not there, and to standard output', async () => {
    using folder = buildFolder({ 'app/Dockerfile': '' });
    assert.equal(await folder.context('-o type=tar,dest=x.tar app').run(sending(Buffer.from('bytes'))), 0);
    assert.equal(readFileSync(`${folder.path}/x.tar`, 'utf8'), 'bytes');
    const run = folder.context('-q -o - app');
    assert.equal(await run.run(sending(Buffer.from('bytes'))), 0);
    assert.equal(run.stdout(), 'bytes');
    const cut = session({}, async (side) => {
      const sink = await side.output(0);
      sink.write('half');
      sink.destroy();
      await finished(sink).catch(() => {});
      throw new BuildFailedError(FAILURE);
    }).start;
    assert.equal(await folder.context('-o type=tar,dest=y.tar app').run(cut), 1);
    assert.deepEqual(readdirSync(folder.path).sort(), ['app', 'x.tar']);
  });

  it('SEC-19: an entry that leads out of the directory ends the build with an error', async () => {
    using folder = buildFolder({ 'app/Dockerfile': '' });
    await assert.rejects(folder.context('-o out app').run(sending(await tar({ '../evil': 'x' }))), /leads out of it/);
    assert.deepEqual(readdirSync(folder.path).sort(), ['app', 'out']);
  });

  it('tell what cannot be written', async () => {
    using folder = buildFolder({ 'app/Dockerfile': '', file: '' });
    mkdirSync(`${folder.path}/dir`);
    writeFileSync(`${folder.path}/file`, '');
    await assert.rejects(folder.context('-o file app').run(sending(Buffer.alloc(1024))), /cannot write to .*file: it is not a directory/);
    await assert.rejects(folder.context('-o type=tar,dest=dir app').run(sending(Buffer.alloc(1024))), /it is a directory/);
  });
});
