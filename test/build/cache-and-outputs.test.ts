/** The cache and the outputs of builds through `gantry build`: what is taken from the cache and why, and archives, files and registries that get what was built. Needs root and busybox-static. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('cache and outputs of builds', { skip }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'gantry-outputs-'));
  let daemon: GantryDaemon;
  let registry = '';

  before(async () => {
    daemon = await startGantry({ flags: ['--with-registry=127.0.0.1:0'] });
    registry = /the registry of this daemon is ready addresses=\["http:\/\/([^"]+)"/.exec(daemon.log())?.[1] ?? '';
    await loadBusybox(daemon.host);
  });
  after(async () => {
    await daemon?.dispose();
    rmSync(scratch, { recursive: true, force: true });
  });

  const run = async (...args: readonly string[]) => {
    const result = await runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);
    assert.equal(result.status, 0, `${args.join(' ')}\n${result.stderr}`);
    return result;
  };
  /** Hits and misses, in the order of the steps. */
  const explained = async (...args: readonly string[]) => {
    const { stdout, stderr } = await run('build', '--explain', ...args);
    return (stdout + stderr).split('\n').flatMap((line) => /^(?:HIT|MISS) +\[.*?\] (\w+)[^:]*: (.*)$/.exec(line)?.slice(1).join(' ') ?? []);
  };
  const context = (name: string, files: Record<string, string>) => {
    const directory = join(scratch, name);
    mkdirSync(directory, { recursive: true });
    for (const [path, text] of Object.entries(files)) writeFileSync(join(directory, path), text);
    return directory;
  };
  const idOf = async (reference: string) => (await run('image', 'inspect', '--format', '{{.Id}}', reference)).stdout.trim();

  test('what changed decides which steps run again, and --explain says it; times of files are no change', async () => {
    const dockerfile = 'FROM busybox\nARG V=1\nCOPY a* /d/\nRUN cat /d/* && echo out\nRUN true\n';
    const app = context('app', { Dockerfile: dockerfile, a1: '1' });
    assert.deepEqual(
      await explained('-t', 'app', app),
      ['COPY', 'RUN', 'RUN'].map((step) => `${step} never built before`),
    );
    const first = await idOf('app');
    utimesSync(join(app, 'a1'), 1, 1);
    cpSync(app, join(scratch, 'clone'), { recursive: true });
    assert.deepEqual(
      await explained('-t', 'app', app),
      ['COPY', 'RUN', 'RUN'].map((step) => `${step} nothing changed`),
    );
    await run('build', '-q', '--no-cache', '-t', 'clone', join(scratch, 'clone'));
    assert.equal(await idOf('clone'), first);
    writeFileSync(join(app, 'a1'), '2');
    writeFileSync(join(app, 'a2'), '');
    assert.deepEqual(await explained('-t', 'app', app), [
      'COPY a1 changed; a2 is new',
      'RUN the step before it changed',
      'RUN the step before it changed',
    ]);
    const said = await explained('-t', 'app', '--build-arg', 'V=2', app);
    assert.equal(said[0], 'COPY nothing changed');
    assert.equal(said[1], 'RUN build argument V is "2", was "1"');
  });

  test('a cache mount survives builds and the daemon, and --no-cache', async () => {
    const directory = context('mount', { Dockerfile: 'FROM busybox\nRUN --mount=type=cache,target=/c echo x >>/c/log; cp /c/log /log\n' });
    await run('build', '-q', '-t', 'mount', directory);
    await daemon.stop();
    await daemon.restart();
    registry = [...daemon.log().matchAll(/the registry of this daemon is ready addresses=\["http:\/\/([^"]+)"/g)].at(-1)?.[1] ?? '';
    await run('build', '-q', '--no-cache', '-t', 'mount', directory);
    assert.equal((await run('run', '--rm', 'mount', 'cat', '/log')).stdout, 'x\nx\n');
  });

  test('archives: the same bytes each time; what was built is what is loaded', async () => {
    const directory = context('archives', { Dockerfile: 'FROM busybox\nCOPY f /\nRUN chmod 4755 /f\nLABEL a=b\n', f: 'f\n' });
    const out = (name: string) => join(scratch, name);
    const outputs = ['1', '2'].flatMap((n) => [
      '-o',
      `type=oci,dest=${out(`oci${n}.tar`)}`,
      '-o',
      `type=docker,dest=${out(`docker${n}.tar`)}`,
    ]);
    await run(
      'build',
      '-q',
      '-t',
      'archived:1',
      ...outputs,
      '-o',
      `type=tar,dest=${out('files.tar')}`,
      '-o',
      `type=local,dest=${out('files')}`,
      directory,
    );
    for (const type of ['oci', 'docker']) assert.ok(readFileSync(out(`${type}1.tar`)).equals(readFileSync(out(`${type}2.tar`))), type);
    assert.equal(readFileSync(join(scratch, 'files', 'f'), 'utf8'), 'f\n');
    const ids = new Set<string>();
    for (const archive of ['oci1.tar', 'docker1.tar']) {
      await run('load', '-i', out(archive));
      ids.add(await idOf('archived:1'));
      await run('rmi', 'archived:1');
    }
    await run('build', '-q', '--no-cache', '-t', 'archived:1', directory);
    assert.deepEqual([...ids], [await idOf('archived:1')]);
  });

  test('several platforms, compressed, pushed; each can be pulled', async () => {
    const directory = context('platforms', {
      Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY f-$TARGETARCH /f\nCMD ["f"]\n',
      'f-amd64': 'amd',
      'f-arm64': 'arm',
    });
    const name = `${registry}/team/multi:1`;
    const output = `type=image,name=${name},push=true,compression=zstd,force-compression=true,annotation-index.a=b`;
    await run('build', '-q', '--platform', 'linux/amd64,linux/arm64', '--provenance', 'mode=max', '-o', output, directory);
    const accept = { Accept: 'application/vnd.oci.image.index.v1+json' };
    const index = (await (await fetch(`http://${registry}/v2/team/multi/manifests/1`, { headers: accept })).json()) as {
      readonly manifests: readonly { readonly platform: { readonly architecture: string } }[];
      readonly annotations: unknown;
    };
    assert.deepEqual(
      index.manifests.map(({ platform }) => platform.architecture),
      ['amd64', 'arm64', 'unknown', 'unknown'],
    );
    assert.deepEqual(index.annotations, { a: 'b' });
    await run('rmi', name);
    for (const architecture of ['amd64', 'arm64']) {
      await run('pull', '-q', '--platform', `linux/${architecture}`, name);
      assert.equal((await run('image', 'inspect', '--format', '{{.Architecture}}', name)).stdout.trim(), architecture);
    }
  });

  test('what builds made can be pruned; images stay', async () => {
    await run('builder', 'prune', '-af');
    assert.match((await run('system', 'df')).stdout, /Build Cache +0 /);
    assert.equal((await run('run', '--rm', 'archived:1', 'cat', '/f')).stdout, 'f\n');
  });
});
