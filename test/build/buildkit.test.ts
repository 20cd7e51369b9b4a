/**
 * Builds by BuildKit's protocol against the daemon: a client that does what buildx does (harness/buildx-client.ts), and docker's own command line 20.10 where Debian's docker.io brings it
 * (`/usr/bin/docker`; POST /build?version=2). Needs root and the docker CLI.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  archiveOf,
  type BuildxBuild,
  BuildxError,
  buildxBuild,
  GrpcConnection,
  openSession,
  type StatusMessage,
} from '../harness/buildx-client.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const oldClient = '/usr/bin/docker';
const oldClientMissing =
  existsSync(oldClient) && spawnSync(oldClient, ['--version']).stdout.includes(' 20.10.') ? false : 'needs docker 20.10 (Debian docker.io)';

suite("BuildKit's protocol", { skip }, () => {
  let daemon: GantryDaemon;
  let socket: string;
  const root = mkdtempSync(join(tmpdir(), 'g-buildx-'));
  let folders = 0;

  before(async () => {
    daemon = await startGantry();
    socket = daemon.host.replace('unix://', '');
    await docker('pull', 'busybox');
  });

  after(async () => {
    await daemon?.dispose();
    rmSync(root, { recursive: true, force: true });
  });

  async function docker(...words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runCommand(['docker', '-H', daemon.host, ...words]);
    assert.equal(status, 0, `docker ${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  function folder(files: Readonly<Record<string, string>>): string {
    folders += 1;
    const path = join(root, `f${folders}`);
    mkdirSync(path);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(path, name, '..'), { recursive: true });
      writeFileSync(join(path, name), text);
    }
    return path;
  }

  function build(context: string, more: Partial<Omit<BuildxBuild, 'session'>> & { readonly session?: object } = {}) {
    return buildxBuild(socket, { ...more, session: { folders: { context, dockerfile: context }, ...more.session } });
  }

  const named = (name: string) => ({ exporters: [{ Type: 'moby', Attrs: { name } }] });
  const output = (status: readonly StatusMessage[]) => Buffer.concat(status.flatMap(({ logs }) => logs.map(({ msg }) => msg))).toString();

  test('-t, --target, --build-arg, --label: the image is in the store', async () => {
    const context = folder({
      Dockerfile: 'FROM busybox AS one\nARG V\nCOPY sub /sub\nRUN echo "v is $V" && cat /sub/x\nFROM one AS two\nRUN exit 9\n',
      'sub/x': 'content\n',
      'sub/skipped': 'no',
      '.dockerignore': 'sub/skipped\n',
    });
    const { response, status } = await build(context, {
      options: { target: 'one', 'build-arg:V': 'seven', 'label:made': 'here' },
      ...named('docker.io/library/bk:1,docker.io/library/bk:2'),
      statusFirst: true,
    });
    const [{ Id, Config, RepoTags }] = JSON.parse(await docker('image', 'inspect', 'bk:1'));
    assert.deepEqual([response['containerimage.digest'], response['containerimage.config.digest']], [Id, Id]);
    assert.equal(response['image.name'], 'docker.io/library/bk:1,docker.io/library/bk:2');
    assert.deepEqual(RepoTags.sort(), ['bk:1', 'bk:2']);
    assert.equal(Config.Labels.made, 'here');
    assert.equal(output(status), 'v is seven\ncontent\n');
    assert.equal(await docker('run', '--rm', 'bk:2', 'ls', '/sub'), 'x\n');
    const names = status.flatMap(({ vertexes }) => vertexes.filter(({ completed }) => completed !== null).map(({ name }) => name));
    for (const name of ['[internal] load build definition from Dockerfile', '[internal] load build context', 'exporting to image'])
      assert.ok(names.includes(name), `${name} in ${names}`);

    // Again: everything is in the cache, and only what changed is sent.
    const again = await build(context, { options: { target: 'one', 'build-arg:V': 'seven', 'label:made': 'here' }, sharedKey: 'ctx:test' });
    assert.equal(again.response['containerimage.digest'], Id);
    assert.ok(again.status.some(({ vertexes }) => vertexes.some(({ name, cached }) => cached && name.includes('RUN'))));
    const warm = await build(context, { options: { target: 'one', 'build-arg:V': 'seven', 'label:made': 'here' }, sharedKey: 'ctx:test' });
    assert.deepEqual(warm.trace.folders.at(-1)?.name, 'context');
    assert.deepEqual(warm.trace.folders.at(-1)?.wanted, []);
  });

  test('two folders of one name whose files have one size and one time are two folders', async () => {
    const contexts = ['one', 'two'].map((text) => folder({ Dockerfile: 'FROM busybox\nCOPY x /\nRUN cat /x\n', x: text }));
    for (const context of contexts) for (const name of ['x', 'Dockerfile']) utimesSync(join(context, name), 1_700_000_000, 1_700_000_000);
    const said: string[] = [];
    for (const context of contexts) said.push(output((await build(context, { sharedKey: 'app:client' })).status));
    assert.deepEqual(said, ['one', 'two']);
  });

  test('secrets and an SSH agent reach the step, and only it', async () => {
    const agent = join(root, 'agent');
    await using _server = createServer((client) => client.on('data', () => client.end())).listen(agent);
    const context = folder({
      Dockerfile: [
        'FROM busybox',
        'RUN --mount=type=secret,id=tok wc -c < /run/secrets/tok',
        'RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo agent',
        'RUN test ! -e /run/secrets',
      ].join('\n'),
    });
    const { status, trace } = await build(context, { session: { secrets: { tok: Buffer.from('hush-hush') }, agents: { default: agent } } });
    assert.equal(output(status), '9\nagent\n');
    assert.deepEqual(trace.secrets, ['tok']);
    const required = folder({ Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=none,required cat /run/secrets/none\n' });
    await assert.rejects(build(required, { session: { secrets: {} } }), /secret none: not found/);
  });

  test('a failing RUN', async () => {
    const context = folder({ Dockerfile: 'FROM busybox\nRUN echo so far; exit 3\n' });
    const failed = await build(context, named('docker.io/library/failed:1')).then(
      () => assert.fail('it was built'),
      (error: unknown) => error,
    );
    assert.ok(failed instanceof BuildxError);
    assert.equal(failed.message, 'process "/bin/sh -c echo so far; exit 3" did not complete successfully: exit code: 3');
    assert.deepEqual(
      failed.details.map(({ type_url }) => type_url),
      ['errdefs.Source'],
    );
    assert.equal(output(failed.status), 'so far\n');
    assert.notEqual((await runCommand(['docker', '-H', daemon.host, 'image', 'inspect', 'failed:1'])).status, 0);
  });

  test('problems of the Dockerfile are told with their place', async () => {
    const broken = build(folder({ Dockerfile: 'FROM busybox\nRUNN x\n' }));
    await assert.rejects(broken, (error: BuildxError) => /unknown instruction: RUNN/.test(error.message) && error.details.length === 1);
    await assert.rejects(build(folder({ x: '' })), /failed to read dockerfile: open Dockerfile: no such file or directory/);
    await assert.rejects(build(folder({ Dockerfile: 'FROM busybox\nCOPY ../missing /\n' })), /"\/missing": not found/);
  });

  test('--check: warnings in the shape that clients read', async () => {
    const context = folder({ Dockerfile: 'from busybox\nRUN true\n' });
    const options = { requestid: 'frontend.lint', 'frontend.caps': 'moby.buildkit.frontend.subrequests+forward' };
    const { result, response } = await build(context, { options, exporters: [] });
    assert.deepEqual(response, {});
    const lint = JSON.parse(String(result.metadata['result.json'])) as {
      warnings: { ruleName: string; location: { ranges: { start: { line: number } }[] } }[];
      sources: { filename: string }[];
    };
    assert.deepEqual(
      lint.warnings.map(({ ruleName, location }) => [ruleName, location.ranges[0]?.start.line]),
      [['ConsistentInstructionCasing', 1]],
    );
    assert.equal(lint.sources[0]?.filename, 'Dockerfile');
    assert.equal(String(result.metadata['result.statuscode']), '1');
    const { status } = await build(context);
    assert.match(status.flatMap(({ warnings }) => warnings.map(({ short }) => String(short)))[0] ?? '', /ConsistentInstructionCasing/);
  });

  test('a build that is taken back leaves no process', async () => {
    const context = folder({ Dockerfile: 'FROM busybox\nRUN echo begun; sleep 987654\n' });
    const stop = new AbortController();
    const cancelled = build(context, { signal: stop.signal, onStatus: ({ logs }) => logs.length > 0 && stop.abort() });
    await assert.rejects(cancelled, /[Cc]ancel/);
    const left = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).split('\0').includes('987654'));
    for (let waited = 0; waited < 200 && left().length > 0; waited += 1) await delay(50);
    assert.deepEqual(left(), []);
  });

  test('-o local and -o tar', async () => {
    const context = folder({ Dockerfile: 'FROM scratch\nCOPY a /sub/a\nCOPY big /\n', a: 'A', big: 'b'.repeat(500_000) });
    const out = folder({});
    const tar = join(root, 'out.tar');
    await build(context, {
      exporters: [{ Type: 'local' }, { Type: 'tar' }],
      session: { outputFolders: { 0: out }, outputFiles: { 1: tar } },
    });
    assert.equal(readFileSync(join(out, 'sub/a'), 'utf8'), 'A');
    assert.equal(readFileSync(join(out, 'big'), 'utf8'), 'b'.repeat(500_000));
    const listed = await runCommand(['tar', 'tf', tar]);
    assert.deepEqual(listed.stdout.trim().split('\n').sort(), ['big', 'sub/', 'sub/a']);
    assert.deepEqual(
      readdirSync(join(daemon.dataRoot, 'build/tmp')).filter((name) => name.startsWith('output-')),
      [],
    );
  });

  test('a cache in a folder of the client, from one daemon state to the next', async () => {
    const context = folder({ Dockerfile: 'FROM busybox\nRUN echo slow > /slow\nRUN echo more > /more\n' });
    const cache = folder({});
    const session = { stores: { [`local:${cache}`]: cache } };
    const local = (Attrs: object) => [{ Type: 'local', Attrs }];
    const first = await build(context, { session, cache: { Exports: local({ dest: cache, mode: 'max' }) } });
    const { digest } = JSON.parse(first.response['cache.manifest'] ?? 'null') as { digest: string };
    assert.ok(existsSync(join(cache, 'blobs/sha256', digest.replace('sha256:', ''))));
    await using connection = await GrpcConnection.open(socket);
    for await (const _ of connection.stream('Control.Prune', { all: true }));
    const second = await build(context, { session, cache: { Imports: local({ src: cache, digest }) } });
    assert.equal(second.response['containerimage.digest'], first.response['containerimage.digest']);
    const done = second.status.flatMap(({ vertexes }) =>
      vertexes.filter(({ name, completed }) => name.includes('RUN') && completed !== null),
    );
    assert.deepEqual(
      done.map(({ cached }) => cached),
      [true, true],
    );
  });

  test('-o oci of two platforms: an archive, and a folder', async () => {
    const context = folder({ Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n', amd64: 'a', arm64: 'b' });
    const out = folder({});
    const tar = join(root, 'oci.tar');
    const { response } = await build(context, {
      options: { platform: 'linux/amd64,linux/arm64' },
      exporters: [
        { Type: 'oci', Attrs: { name: 'docker.io/library/two:1' } },
        { Type: 'oci', Attrs: { tar: 'false' } },
      ],
      session: { stores: { export: out }, outputFiles: { 0: tar } },
    });
    const descriptor = JSON.parse(Buffer.from(response['containerimage.descriptor'] ?? '', 'base64').toString());
    assert.equal(descriptor.digest, response['containerimage.digest']);
    const index = JSON.parse(readFileSync(join(out, 'blobs/sha256', descriptor.digest.replace('sha256:', '')), 'utf8'));
    assert.deepEqual(
      index.manifests.map(({ platform }: { platform: { architecture: string } }) => platform.architecture),
      ['amd64', 'arm64'],
    );
    assert.match((await runCommand(['tar', 'tf', tar])).stdout, /^index\.json$/m);
  });

  test('two builds at once, one of them on the result of the other (bake)', async () => {
    const base = folder({ Dockerfile: 'FROM busybox\nRUN echo base > /base\n' });
    const other = folder({ Dockerfile: 'FROM base\nRUN cat /base\n' });
    await build(base, {
      exporters: [],
      async whileBuilt({ reference }) {
        const { status } = await build(other, { options: { 'context:base': 'input:base' }, inputs: { base: reference?.def } });
        assert.equal(output(status), 'base\n');
      },
    });
  });

  test('a tar from stdin', async () => {
    const parts: Uint8Array[] = [];
    const files = { Dockerfile: 'FROM busybox\nCOPY x /\nRUN cat /x\n', x: 'from tar\n' };
    const entries = Object.entries(files).map(([path, text]) => ({ entry: { type: 'file', path } as const, content: Buffer.from(text) }));
    for await (const chunk of archiveOf(entries)) parts.push(chunk);
    const uploads = { '/up': Buffer.concat(parts) };
    const { status } = await buildxBuild(socket, { session: { folders: {}, uploads }, options: { context: 'http://buildkit-session/up' } });
    assert.equal(output(status), 'from tar\n');
  });

  test('SEC-19 a client whose files leave their folder', async () => {
    const context = folder({ Dockerfile: 'FROM scratch\nCOPY . /\n' });
    linkSync(join(context, 'Dockerfile'), join(context, 'z'));
    const stats = lstatSync(join(context, 'Dockerfile'));
    for (const path of ['../evil', '/evil', 'a/../../evil', 'missing/evil', '.', 'a//b']) {
      const evil = { path, mode: 0o644, size: stats.size };
      await assert.rejects(build(context, { session: { extraEntries: [evil] } }), /path|directory|relative/, path);
    }
    assert.deepEqual(readdirSync(join(daemon.dataRoot, 'build')).includes('evil'), false);
  });

  test('SEC-19 privileges that the client was not allowed to ask for', async () => {
    const insecure = folder({ Dockerfile: 'FROM busybox\nRUN --security=insecure true\n' });
    await assert.rejects(build(insecure), /security\.insecure is not allowed/);
    await assert.rejects(build(folder({ Dockerfile: 'FROM busybox\nRUN --network=host true\n' })), /network\.host is not allowed/);
    const host = { options: { 'force-network-mode': 'host' } };
    await assert.rejects(build(folder({ Dockerfile: 'FROM busybox\nRUN true\n' }), host), /network\.host is not allowed/);
    await build(folder({ Dockerfile: 'FROM busybox\nRUN --network=host true\n' }), { entitlements: ['network.host'] });
  });

  test('du and prune', async () => {
    await using connection = await GrpcConnection.open(socket);
    const usage = async () =>
      ((await connection.unary('Control.DiskUsage', {})) as { record: { ID: string; RecordType: string }[] }).record;
    assert.ok((await usage()).some(({ RecordType }) => RecordType === 'regular'));
    for await (const _ of connection.stream('Control.Prune', { all: true }));
    assert.deepEqual(await usage(), []);
  });

  test('a connection that breaks while files are on their way', async () => {
    const context = folder({ Dockerfile: 'FROM busybox\nCOPY . /\n', blob: 'x'.repeat(5_000_000) });
    await using connection = await GrpcConnection.open(socket);
    const session = await openSession(socket, { folders: { context, dockerfile: context } });
    const solving = connection.unary('Control.Solve', { Ref: 'broken', Session: session.id, Frontend: 'dockerfile.v0' });
    solving.catch(() => {});
    while (!session.trace.folders.some(({ wanted }) => wanted.includes('blob'))) await delay(5);
    session.socket.destroy();
    await assert.rejects(solving, /cancel|session|transfer/i);
    await build(folder({ Dockerfile: 'FROM busybox\n' }));
  });

  suite("docker's command line 20.10 (POST /build?version=2)", { skip: oldClientMissing }, () => {
    async function oldBuild(context: string, words: readonly string[], input?: string) {
      const command = [oldClient, '-H', daemon.host, 'build', '--progress', 'plain', ...words];
      const child = spawn(command[0] ?? '', command.slice(1), { cwd: context, env: { ...process.env, DOCKER_BUILDKIT: '1' } });
      let text = '';
      child.stdout.on('data', (data) => {
        text += data;
      });
      child.stderr.on('data', (data) => {
        text += data;
      });
      child.stdin.end(input ?? '');
      const status = await new Promise((resolve) => child.once('close', resolve));
      return { status, text };
    }

    test('an image with a secret; local files; a Dockerfile from stdin; a failure', async () => {
      const context = folder({
        Dockerfile: 'FROM busybox\nCOPY x /\nRUN --mount=type=secret,id=s wc -c < /run/secrets/s\n',
        x: '1',
        y: '2',
        '.dockerignore': 'y',
        s: 'secret',
      });
      const built = await oldBuild(context, ['-t', 'old:1', '--secret', 'id=s,src=s', '.']);
      assert.equal(built.status, 0, built.text);
      assert.match(built.text, /#\d+ [\d.]+ 6\n/);
      assert.match(built.text, /naming to docker\.io\/library\/old:1/);
      assert.equal(await docker('run', '--rm', 'old:1', 'cat', '/x'), '1');
      const out = folder({});
      writeFileSync(join(context, 'files'), 'FROM scratch\nCOPY x /deep/x\n');
      const written = await oldBuild(context, ['-f', 'files', '-o', out, '.']);
      assert.equal(written.status, 0, written.text);
      assert.equal(readFileSync(join(out, 'deep/x'), 'utf8'), '1');
      const piped = await oldBuild(context, ['-'], 'FROM busybox\nRUN echo from stdin\n');
      assert.equal(piped.status, 0, piped.text);
      assert.match(piped.text, /from stdin/);
      const failed = await oldBuild(context, ['-'], 'FROM busybox\nRUN exit 4\n');
      assert.equal(failed.status, 1);
      assert.match(failed.text, /did not complete successfully: exit code: 4/);
    });

    test('a tar from stdin comes as a request of its own', async () => {
      const context = folder({ Dockerfile: 'FROM busybox\nCOPY x /\nRUN cat /x\n', x: 'tarred' });
      const command = `tar c . | DOCKER_BUILDKIT=1 ${oldClient} -H ${daemon.host} build --progress plain -`;
      const { status, stdout, stderr } = await runCommand(['sh', '-c', `cd ${context} && ${command} 2>&1`]);
      assert.equal(status, 0, stdout + stderr);
      assert.match(stdout, /tarred/);
    });
  });
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
