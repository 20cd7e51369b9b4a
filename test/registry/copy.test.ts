/**
 * `gantry registry copy`, `export` and `import`, and the pull-through cache, between Debian's docker-registry, our server and directories that skopeo reads. Needs docker-registry and
 * skopeo.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { RegistryContent } from '../harness/fault-registry/registry-content.ts';
import { type GantryRegistry, startGantryRegistry } from '../harness/gantry-registry.ts';
import { programEntry } from '../harness/program.ts';
import { addImage, addMultiPlatform, addReferrer, type MadeImage, noiseLayers } from '../harness/registry-images.ts';
import { debianRegistryMissing, type RegistryProcess, startDebianRegistry } from '../harness/registry-process.ts';

const skopeoMissing = existsSync('/usr/bin/skopeo') ? null : 'needs skopeo (apt-get install skopeo)';
const skip = debianRegistryMissing() ?? skopeoMissing ?? false;

describe('images between registries and directories', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-copy-'));
  const content = new RegistryContent();
  let debian: RegistryProcess;
  let single: MadeImage;
  let ours: GantryRegistry;

  before(async () => {
    addMultiPlatform(content, 'seed/multi', 'v1');
    single = addImage(content, 'seed/multi', 'single', { layers: noiseLayers(3, 300_000) });
    const signature = addReferrer(content, 'seed/multi', single.manifest, 'application/x.signature', 'signed');
    content.setTag('seed/multi', 'signature', signature.digest);
    debian = await startDebianRegistry({ content });
    const upstreams = [{ prefix: 'hub', registry: debian.host, insecure: true, ttl: '1s' }];
    ours = await startGantryRegistry({ content, configuration: { upstreams } });
  });
  after(async () => {
    await debian?.dispose();
    await ours?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  const gantry = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand([process.execPath, '--no-warnings', programEntry, 'registry', ...args], {
      env: { ...process.env, DOCKER_CONFIG: directory },
      timeoutMs: 120_000,
    });
  const done = async (...args: readonly string[]): Promise<CommandResult> => {
    const result = await gantry(...args);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };

  test('all tags from docker-registry to ours, every platform, and nothing twice', async () => {
    await done('copy', '--all-tags', '--quiet', `${debian.host}/seed/multi`, `${ours.host}/copied/multi`);
    for (const tag of ['v1', 'single']) assert.equal(await digestOf(ours, 'copied/multi', tag), await digestOf(debian, 'seed/multi', tag));
    const again = await done('copy', `${debian.host}/seed/multi:v1`, `${ours.host}/copied/multi:again`);
    assert.match(again.stderr, /^0 manifests, 0 blobs \(0 B\) copied$/m);
    const beside = await done('copy', `${ours.host}/copied/multi:v1`, `${ours.host}/copied/beside`);
    assert.match(beside.stderr, /^\d+ manifests, 0 blobs \(0 B\) copied, \d+ \(.*\) mounted$/m);
    assert.equal(beside.stdout.trim(), `${ours.host}/copied/beside:v1@${await digestOf(debian, 'seed/multi', 'v1')}`);
  });

  test('through the cache to a directory that skopeo reads, and back', async () => {
    const layout = join(directory, 'layout');
    await done('export', '--quiet', `${ours.host}/hub/seed/multi:v1`, layout);
    await done('export', '--quiet', `${ours.host}/hub/seed/multi:single`, layout);
    const raw = await runCommand(['skopeo', 'inspect', '--raw', `oci:${layout}:v1`]);
    assert.equal(raw.stdout, await (await get(debian, 'seed/multi', 'v1')).text());
    const whole = await runCommand(['skopeo', 'copy', '--all', `oci:${layout}:v1`, `dir:${join(directory, 'dir')}`], { timeoutMs: 60_000 });
    assert.equal(whole.status, 0, whole.stderr);
    await done('import', '--quiet', `${layout}:single`, `${debian.host}/back/single`);
    assert.equal(await digestOf(debian, 'back/single', 'single'), await digestOf(debian, 'seed/multi', 'single'));
  });

  test('referrers go along, out to a directory and in again', async () => {
    const layout = join(directory, 'signed');
    await done('export', '--quiet', '--referrers', `${ours.host}/seed/multi:single`, layout);
    await done('import', '--quiet', '--referrers', `${layout}:single`, `${ours.host}/signed/single`);
    const answer = await fetch(`${ours.url}/v2/signed/single/referrers/${single.manifest.digest}`);
    const { manifests } = (await answer.json()) as { manifests: readonly { artifactType?: string }[] };
    assert.deepEqual(
      manifests.map(({ artifactType }) => artifactType),
      ['application/x.signature'],
    );
  });

  test('what is not there, not wanted or not possible is said in words', async () => {
    const cases = [
      [['copy', `${debian.host}/seed/no:v1`, 'oci:/x'], /manifest for .*seed\/no:v1 not found/],
      [
        ['copy', '--platform', 'plan9/mips', `${debian.host}/seed/multi:v1`, `${ours.host}/x`],
        /has no image for plan9\/mips: there is linux\/amd64/,
      ],
      [['copy', `${debian.host}/seed/multi:v1`, `${ours.host}/hub/seed/multi`], /is a pull-through cache of .*: nothing is pushed to it/],
      [['import', join(directory, 'nothing'), `${ours.host}/x`], /is no OCI layout: it has no file oci-layout/],
    ] as const;
    await Promise.all(
      cases.map(async ([args, text]) => {
        const { status, stderr } = await gantry(...args);
        assert.equal(status, 1, args.join(' '));
        assert.match(stderr, text);
      }),
    );
  });

  test('while upstream is down the cache serves what it has, and says so', async () => {
    const before = await get(ours, 'hub/seed/multi', 'v1');
    assert.equal(before.headers.get('warning'), null);
    await debian.dispose();
    let answer = before;
    // As long as the TTL lasts nobody asks.
    for (let tries = 0; tries < 100 && answer.headers.get('warning') === null; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      answer = await get(ours, 'hub/seed/multi', 'v1');
    }
    assert.deepEqual([answer.status, answer.headers.get('warning')], [200, '110 - "Response is Stale"']);
    assert.ok(Number(answer.headers.get('age')) >= 1);
    const absent = await get(ours, 'hub/seed/multi', 'v2');
    assert.equal(absent.status, 503);
    assert.match(await absent.text(), /upstream 127\.0\.0\.1:\d+: .*connection refused/);
  });
});

function get({ url }: { readonly url: string }, repository: string, reference: string): Promise<Response> {
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
  return fetch(`${url}/v2/${repository}/manifests/${reference}`, { headers: { accept } });
}

async function digestOf(registry: { readonly url: string }, repository: string, tag: string): Promise<string | null> {
  const answer = await get(registry, repository, tag);
  await answer.arrayBuffer();
  assert.equal(answer.status, 200);
  return answer.headers.get('docker-content-digest');
}
