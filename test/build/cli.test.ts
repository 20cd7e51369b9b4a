/**
 * `gantry build` and `gantry builder` as a person uses them: displays, standard input, Ctrl-C, `--watch`, a shell where it fails. What single flags mean is tested beside the code
 * (src/cli/build). Needs root and busybox-static.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const HANG_MS = 60_000;

suite('gantry build', { skip }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'gantry-build-cli-'));
  let daemon: GantryDaemon;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(async () => {
    await daemon?.dispose();
    rmSync(scratch, { recursive: true, force: true });
  });

  const words = (...args: readonly string[]): [string, ...string[]] => [
    process.execPath,
    '--no-warnings',
    programEntry,
    '-H',
    daemon.host,
    ...args,
  ];
  const gantry = (args: readonly string[], options: Parameters<typeof runCommand>[1] = {}) =>
    runCommand(words(...args), { cwd: scratch, ...options });
  const good = async (args: readonly string[], options: Parameters<typeof runCommand>[1] = {}) => {
    const result = await gantry(args, options);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };
  const folder = (name: string, files: Readonly<Record<string, string>>) => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(scratch, name, path)), { recursive: true });
      writeFileSync(join(scratch, name, path), text);
    }
    return name;
  };
  const idOf = async (name: string) => (await good(['image', 'inspect', '-f', '{{.Id}}', name])).stdout.trim();

  test('plain progress, the ID in a file, and with -q only the ID', async () => {
    const app = folder('app', { Dockerfile: 'FROM busybox AS base\nCOPY f /\nRUN cat /f\n', f: 'content\n', '.dockerignore': 'g', g: '' });
    const { stdout, stderr } = await good(['build', '-t', 'app', '--iidfile', 'id', '--progress', 'plain', app]);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^#1 \[internal\] load build definition from Dockerfile\n#1 transferring dockerfile: \d+B.*done\n#1 DONE 0\.\ds\n\n#2 /,
    );
    assert.match(stderr, /\n\n#\d \[3\/3\] RUN cat \/f\n#\d 0\.\d{3} content\n#\d DONE \d+\.\ds\n\n/);
    assert.match(
      stderr,
      /exporting to image[\s\S]*writing image sha256:[0-9a-f]{64}.* done\n#\d naming to docker\.io\/library\/app:latest/,
    );
    assert.equal(readFileSync(join(scratch, 'id'), 'utf8'), await idOf('app'));
    const quiet = await good(['image', 'build', '-q', app]);
    assert.deepEqual([quiet.stdout, quiet.stderr], [`${await idOf('app')}\n`, '']);
    const raw = (await good(['buildx', 'build', '--progress', 'rawjson', app])).stderr.trim().split('\n');
    const keys = new Set(raw.flatMap((line) => Object.keys(JSON.parse(line))));
    assert.ok(keys.has('vertexes') && keys.has('statuses'), [...keys].join());
    assert.match((await good(['build', '--explain', '-q', app])).stdout, /^HIT +\[2\/3\] COPY f \/.*\nHIT +\[3\/3\] RUN cat \/f.*$/m);
  });

  test('a step that fails: its last lines, its place, exit code 1, the bytes of no image', async () => {
    const bad = folder('bad', { Dockerfile: 'FROM busybox\nRUN echo before; exit 3\n' });
    const { status, stderr } = await gantry(['build', '-t', 'bad', bad]);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /------\n > \[2\/2\] RUN echo before; exit 3:\nbefore\n------\nDockerfile:2\n-+\n[\s\S]*>>> RUN echo[\s\S]*-+\nERROR: failed to solve: process "\/bin\/sh -c echo before; exit 3" did not complete successfully: exit code: 3\n$/,
    );
    assert.equal((await gantry(['image', 'inspect', 'bad'])).status, 1);
    const checked = await gantry(['build', '--check', folder('checked', { Dockerfile: 'FROM busybox AS Web\n' })]);
    assert.deepEqual([checked.status, /WARNING: StageNameCasing/.test(checked.stdout)], [1, true]);
  });

  test('Dockerfile and context by standard input, files out, secrets and agents in', async () => {
    const script =
      'FROM busybox AS run\nRUN --mount=type=secret,id=key --mount=type=ssh cat /run/secrets/key >/secret; [ -S "$SSH_AUTH_SOCK" ] && echo agent >>/secret\nFROM scratch\nCOPY --from=run /secret /\n';
    const agent = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => agent.listen(join(scratch, 'agent'), resolve));
    folder('.', { 'key.txt': 'hush\n' });
    const env = { ...process.env, SSH_AUTH_SOCK: join(scratch, 'agent') };
    await good(['build', '--secret', 'id=key,src=key.txt', '--ssh', 'default', '-o', 'out', '-'], { input: script, env });
    agent.close();
    assert.equal(readFileSync(join(scratch, 'out/secret'), 'utf8'), 'hush\nagent\n');
    folder('tar', { 'sub/D': 'FROM scratch\nCOPY x /y\n', x: 'from a tar' });
    const tar = await runCommand(
      ['/bin/sh', '-c', `tar -c -C ${scratch}/tar . | ${words('build', '-f', 'sub/D', '-o', '-', '-').join(' ')} | tar -xO y`],
      {},
    );
    assert.equal(tar.stdout, 'from a tar', tar.stderr);
    await good(['build', '-q', '-t', 'piped', '-f', '-', 'tar'], { input: 'FROM scratch\nCOPY x /z\n' });
  });

  test('a terminal shows steps, and a shell opens where a step fails', async () => {
    const shellable = folder('shell', { Dockerfile: 'FROM busybox\nRUN echo made >/there\nRUN false\n' });
    const imagesBefore = (await good(['images', '-aq'])).stdout;
    const line = words('build', '--shell-on-error', shellable).join(' ');
    const session = spawn('script', ['-qfec', `stty cols 80 rows 24; ${line}; echo code=$?`, '/dev/null'], {
      cwd: scratch,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const output = collect(session);
    try {
      await until(() => output().includes('/ # '), output);
      session.stdin?.write('cat /there; exit\n');
      await until(() => /code=\d/.test(output()), output);
    } finally {
      session.kill('SIGKILL');
    }
    const text = output();
    assert.match(text, /\[\+\] Building \d+\.\ds \(\d\/\d\) FINISHED/);
    assert.match(text, / => ERROR \[3\/3\] RUN false +\d+\.\ds/);
    assert.match(text, /made\r?\n[\s\S]*code=1/);
    assert.equal((await good(['images', '-aq'])).stdout, imagesBefore);
  });

  test('Ctrl-C cancels the build', async () => {
    const long = folder('long', { Dockerfile: 'FROM busybox\nRUN echo begun; sleep 1000\n' });
    const [file, ...args] = words('build', '--progress', 'plain', long);
    const child = spawn(file, args, { cwd: scratch, stdio: ['ignore', 'ignore', 'pipe'] });
    const output = collect(child);
    await until(() => output().includes('begun'), output);
    child.kill('SIGINT');
    const code = await new Promise((resolve) => child.once('exit', resolve));
    assert.equal(code, 130);
    assert.match(output(), /ERROR: failed to solve: context canceled\n$/);
    await until(async () => (await good(['builder', 'history', 'inspect'])).stdout.includes('Canceled'), output);
  });

  test('--watch builds again when something changes that is not ignored', async () => {
    folder('watch', { Dockerfile: 'FROM busybox\nCOPY . /w\n', '.dockerignore': 'ignored', 'src/a': '1', ignored: '' });
    const [file, ...args] = words('build', '--watch', '-t', 'watched', '-q', 'watch');
    const child = spawn(file, args, { cwd: scratch, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = collect(child);
    try {
      await until(() => output().includes('Watching for changes'), output);
      folder('watch', { ignored: '1' });
      folder('watch', { 'src/a': '2' });
      await until(() => /src\/a changed: built sha256:[0-9a-f]{64} in/.test(output()), output);
      folder('watch', { 'src/new/b': '' });
      await until(() => /src\/new(\/b)? changed: built/.test(output()), output);
      assert.ok(!output().includes('ignored changed'), output());
    } finally {
      child.kill('SIGINT');
    }
    assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 0);
    assert.equal((await good(['run', '--rm', 'watched', 'cat', '/w/src/a'])).stdout, '2');
  });

  test('builder df, history and prune; system df and prune count the cache', async () => {
    assert.match(
      (await good(['builder', 'df'])).stdout,
      /^ID +TYPE +RECLAIMABLE +SIZE +LAST ACCESSED +DESCRIPTION\n[\s\S]*COPY f \/[\s\S]*\nTotal: +\d/,
    );
    assert.match((await good(['buildx', 'du', '--filter', 'type=source.local', '--format', '{{.Type}}'])).stdout, /^(source\.local\n)+$/);
    assert.match(
      (await good(['builder', 'history', 'ls', '--format', '{{.Status}} {{.Name}}'])).stdout,
      /^Completed docker\.io\/library\/app:latest$/m,
    );
    assert.match((await good(['system', 'df', '--format', '{{.Type}} {{.TotalCount}}'])).stdout, /^Build Cache [1-9]\d*$/m);
    assert.match((await good(['builder', 'prune', '-af'])).stdout, /^Deleted build cache objects:\n[\s\S]*\n\nTotal reclaimed space: \d/);
    assert.match((await good(['system', 'prune', '-f'])).stdout, /Total reclaimed space: /);
    assert.equal((await good(['builder', 'df', '--format', '{{.ID}}'])).stdout, '');
  });

  function collect(child: ChildProcess): () => string {
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
    return () => text;
  }

  async function until(holds: () => boolean | Promise<boolean>, output: () => string): Promise<void> {
    const end = Date.now() + HANG_MS;
    while (!(await holds())) {
      if (Date.now() > end) assert.fail(`it never came: ${output()}`);
      await delay(30);
    }
  }
});
