/** Our registry as it is served: who may do what, by real clients; TLS, limits, rules, reload, restart. Needs skopeo and openssl. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { hashSync } from 'bcryptjs';
import { makeCertificates } from '../harness/certificates.ts';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { type GantryRegistry, startGantryRegistry } from '../harness/gantry-registry.ts';
import { programEntry } from '../harness/program.ts';

const skip = existsSync('/usr/bin/skopeo') ? false : 'needs skopeo (apt-get install skopeo)';

const manifestType = 'application/vnd.oci.image.manifest.v1+json';

interface Made {
  readonly layout: string;
  readonly blobs: readonly Buffer[];
  readonly manifest: Buffer;
}

/** An image of one small layer, as a layout that skopeo copies and as bytes that fetch sends. */
function makeImage(directory: string, text: string): Made {
  const descriptor = (bytes: Buffer, mediaType: string) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const layer = Buffer.alloc(1024 * 2, text);
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digestOf(layer)] } }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [descriptor(layer, 'application/vnd.oci.image.layer.v1.tar')],
    }),
  );
  const layout = join(directory, text);
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  for (const bytes of [layer, config, manifest]) writeFileSync(join(layout, 'blobs/sha256', digestOf(bytes).slice(7)), bytes);
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [descriptor(manifest, manifestType)] }));
  return { layout, blobs: [layer, config], manifest };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

const basic = (user: string, password: string) => ({ Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
const alice = basic('alice', 'wonder');
const bob = basic('bob', 'builder');

async function push(
  url: string,
  repository: string,
  tag: string,
  { blobs, manifest }: Made,
  headers: Record<string, string>,
): Promise<Response> {
  for (const blob of blobs) {
    const answer = await fetch(`${url}/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`, {
      method: 'POST',
      headers,
      body: new Uint8Array(blob),
    });
    if (answer.status !== 201) return answer;
    await answer.arrayBuffer();
  }
  return await fetch(`${url}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { ...headers, 'Content-Type': manifestType },
    body: new Uint8Array(manifest),
  });
}

async function tokenFor(url: string, scope: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(`${url}/token?service=gantry-registry&scope=${encodeURIComponent(scope)}`, { headers });
  assert.equal(answer.status, 200, await answer.clone().text());
  return ((await answer.json()) as { token: string }).token;
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

describe('gantry registry serve: access', { skip }, () => {
  let directory: string;
  let htpasswd: string;
  let one: Made;
  let two: Made;
  let registry: GantryRegistry;
  let configuration: Record<string, unknown>;

  const skopeo = (...args: string[]): Promise<CommandResult> =>
    runCommand(['skopeo', ...args], { env: { ...process.env, REGISTRY_AUTH_FILE: join(directory, 'auth.json') } });
  const status = async (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    (await fetch(`${registry.url}${path}`, { headers, method })).status;
  const audit = (): readonly Record<string, unknown>[] =>
    readFileSync(join(directory, 'audit.log'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  async function reload(next: Record<string, unknown>): Promise<string> {
    const readAgain = () => registry.log().split('read again').length;
    const before = readAgain();
    writeFileSync(join(registry.directory, 'registry.json'), JSON.stringify({ ...next, listen: registry.host, root: registry.storage }));
    process.kill(registry.pid, 'SIGHUP');
    for (let attempt = 0; readAgain() === before; attempt++) {
      assert.ok(attempt < 1000, 'SIGHUP was not answered');
      await delay(20);
    }
    return registry.log().split('\n').at(-2) ?? '';
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-access-'));
    htpasswd = join(directory, 'htpasswd');
    writeFileSync(htpasswd, `alice:${hashSync('wonder', 5)}\nbob:${hashSync('builder', 5)}\n`);
    [one, two] = [makeImage(directory, 'one'), makeImage(directory, 'two')];
    configuration = {
      access: {
        htpasswd,
        anonymousPull: ['public/**'],
        groups: { team: ['alice', 'bob'] },
        rules: [
          { repository: 'team/**', groups: ['team'], actions: ['read'] },
          { repository: ['team/**', 'secret/**'], users: ['alice'], actions: ['write', 'delete'] },
          { repository: 'public/**', users: ['*'], actions: ['write'] },
        ],
      },
      quotas: [{ repository: 'public/small', maxSize: '1KB' }],
      immutableTags: [{ repository: 'public/fixed', tag: 'v*' }],
      retention: { rules: [{ repository: 'team/old', keepLast: 1 }] },
      audit: { path: join(directory, 'audit.log') },
      garbageCollection: { interval: null },
    };
    registry = await startGantryRegistry({ configuration });
  });

  after(async () => {
    await registry?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  it('skopeo logs in, pushes and pulls by tokens; a wrong password and a push without the right are refused', async () => {
    assert.notEqual((await skopeo('login', '--tls-verify=false', '-u', 'alice', '-p', 'wrong', registry.host)).status, 0);
    const login = await skopeo('login', '--tls-verify=false', '-u', 'alice', '-p', 'wonder', registry.host);
    assert.match(login.stdout, /Login Succeeded/, login.stderr);
    const pushed = await skopeo('copy', '-q', '--dest-tls-verify=false', `oci:${one.layout}`, `docker://${registry.host}/team/app:v1`);
    assert.equal(pushed.status, 0, pushed.stderr);
    const back = await skopeo(
      'copy',
      '-q',
      '--src-tls-verify=false',
      `docker://${registry.host}/team/app:v1`,
      `oci:${join(directory, 'back')}`,
    );
    assert.equal(back.status, 0, back.stderr);
    assert.equal((await skopeo('login', '--tls-verify=false', '-u', 'bob', '-p', 'builder', registry.host)).status, 0);
    const denied = await skopeo('copy', '-q', '--dest-tls-verify=false', `oci:${two.layout}`, `docker://${registry.host}/team/app:v2`);
    assert.notEqual(denied.status, 0);
    assert.equal((await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/team/app:v1`)).status, 0);
    assert.equal((await skopeo('logout', registry.host)).status, 0);
  });

  it('serves what is public to anybody, and nothing else', async () => {
    assert.equal((await push(registry.url, 'public/app', 'v1', one, bob)).status, 201);
    const inspected = await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/public/app:v1`);
    assert.equal(inspected.status, 0, inspected.stderr);
    assert.notEqual((await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/team/app:v1`)).status, 0);
    assert.equal((await push(registry.url, 'public/app', 'v2', one, {})).status, 401);
    assert.equal(
      (await push(registry.url, 'public/app', 'v2', one, bearer(await tokenFor(registry.url, 'repository:public/app:pull,push')))).status,
      401,
    );
  });

  it('SEC-26: a repository that one may not read answers as one that is not there, in lists, to mounts and to reads', async () => {
    assert.equal((await push(registry.url, 'secret/app', 'v1', two, alice)).status, 201);
    const bodies = await Promise.all(
      ['secret/app', 'secret/nowhere'].map(async (name) => {
        const answer = await fetch(`${registry.url}/v2/${name}/manifests/v1`, { headers: bob });
        return `${answer.status} ${(await answer.text()).replaceAll(name, '')}`;
      }),
    );
    assert.equal(bodies[0], bodies[1]);
    assert.match(bodies[0] ?? '', /^403 /);
    const seen = async (headers: Record<string, string>) =>
      ((await (await fetch(`${registry.url}/v2/_catalog`, { headers })).json()) as { repositories: string[] }).repositories;
    assert.deepEqual(await seen(bob), ['public/app', 'team/app']);
    assert.deepEqual(await seen(alice), ['public/app', 'secret/app', 'team/app']);
    assert.deepEqual(await seen({}), ['public/app']);
    assert.deepEqual(await seen(bearer(await tokenFor(registry.url, 'registry:catalog:*', bob))), ['public/app', 'team/app']);
    const mount = `/v2/public/app/blobs/uploads/?mount=${digestOf(two.blobs[0] as Buffer)}&from=secret/app`;
    assert.equal(await status(mount, bob, 'POST'), 202);
    assert.equal(await status(`/v2/public/app/blobs/${digestOf(two.blobs[0] as Buffer)}`, bob, 'HEAD'), 404);
  });

  it('SEC-27: no token but ours, for what it is for', async () => {
    const path = '/v2/team/app/manifests/v1';
    assert.equal(await status(path, bearer(await tokenFor(registry.url, 'repository:team/app:pull', bob))), 200);
    assert.equal(await status(path, bearer(await tokenFor(registry.url, 'repository:team/other:pull', bob))), 401);
    assert.equal(await status(path, bearer(await tokenFor(registry.url, 'repository:team/app:pull,push', bob)), 'PUT'), 403);
    const [head = ''] = (await tokenFor(registry.url, 'repository:team/app:pull', bob)).split('.');
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString());
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const access = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push', 'delete'] }];
    const claims = { iss: 'gantry-registry', aud: 'gantry-registry', sub: 'alice', nbf: 0, exp: 9_999_999_999, access };
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const header of [
      { alg: 'EdDSA', kid },
      { alg: 'EdDSA', kid, jwk: publicKey.export({ format: 'jwk' }) },
      { alg: 'none', kid },
    ]) {
      const text = `${encode(header)}.${encode(claims)}`;
      const signature = sign(null, Buffer.from(text), privateKey).toString('base64url');
      assert.equal(await status(path, bearer(`${text}.${signature}`)), 401);
      assert.equal(await status(path, bearer(`${text}.`)), 401);
    }
  });

  it('keeps quotas and immutable tags, and writes who did what to the audit log', async () => {
    const full = await push(registry.url, 'public/small', 'v1', one, bob);
    assert.equal(full.status, 403);
    assert.match(await full.text(), /quota|1(\.0+)? ?KB|1024/i);
    assert.equal((await push(registry.url, 'public/fixed', 'v1', one, bob)).status, 201);
    assert.equal((await push(registry.url, 'public/fixed', 'v1', one, bob)).status, 201);
    const moved = await push(registry.url, 'public/fixed', 'v1', two, bob);
    assert.equal(moved.status, 403);
    assert.match(await moved.text(), /immutable/);
    for (let attempt = 0; !audit().some(({ status: code, repository }) => code === 403 && repository === 'public/fixed'); attempt++) {
      assert.ok(attempt < 500, 'the refusal is not in the audit log');
      await delay(20);
    }
    const line = audit().find(({ action, repository }) => action === 'push' && repository === 'public/fixed');
    assert.deepEqual(
      [line?.user, line?.tag, line?.digest, line?.status, line?.address],
      ['bob', 'v1', digestOf(one.manifest), 201, '127.0.0.1'],
    );
  });

  it('applies retention and collects garbage on command, beside itself', async () => {
    for (const [tag, image] of [
      ['a', one],
      ['b', two],
    ] as const)
      assert.equal((await push(registry.url, 'team/old', tag, image, alice)).status, 201);
    const command = (...args: string[]) =>
      runCommand([
        process.execPath,
        '--no-warnings',
        programEntry,
        'registry',
        ...args,
        '--config',
        join(registry.directory, 'registry.json'),
      ]);
    assert.match(
      (await command('retention', '--dry-run')).stdout,
      /^Would remove team\/old:a .*\nWould remove team\/old@sha256.*\nWould remove 1 tag and 1 manifest/,
    );
    assert.match((await command('retention')).stdout, /\nRemoved 1 tag and 1 manifest of 1 repository\n$/);
    assert.deepEqual(await (await fetch(`${registry.url}/v2/team/old/tags/list`, { headers: alice })).json(), {
      name: 'team/old',
      tags: ['b'],
    });
    assert.match((await command('gc')).stdout, /^Removed \d+ blobs? and \d+ uploads?;/);
    const checked = await command('check');
    assert.deepEqual([checked.status, /^Checked \d+ blobs/.test(checked.stdout)], [0, true], checked.stdout + checked.stderr);
  });

  it('tells how it is to who may know', async () => {
    assert.equal(await status('/healthz'), 200);
    assert.deepEqual([await status('/metrics'), await status('/metrics', bob)], [401, 200]);
    assert.match(
      await (await fetch(`${registry.url}/metrics`, { headers: bob })).text(),
      /gantry_registry_requests_total\{method="PUT",route="manifest",status="201"\} \d/,
    );
    const answer = await fetch(`${registry.url}/v2/`, { headers: { Origin: 'https://elsewhere.example' } });
    assert.equal(answer.headers.get('access-control-allow-origin'), null);
  });

  async function openUploads(): Promise<number> {
    const metrics = await (await fetch(`${registry.url}/metrics`, { headers: bob })).text();
    return Number(/^gantry_registry_open_uploads (\d+)$/m.exec(metrics)?.[1]);
  }

  it('SIGTERM lets a request that has begun finish, and takes no other', async () => {
    const blob = Buffer.alloc(4096, 'late');
    // Other tests may have left some.
    const before = await openUploads();
    const upload = request(`${registry.url}/v2/public/late/blobs/uploads/?digest=${digestOf(blob)}`, {
      method: 'POST',
      headers: { ...bob, 'Content-Length': blob.length },
    });
    const answered = new Promise<number>((resolve, reject) =>
      upload.once('response', (answer) => resolve(answer.statusCode ?? 0)).once('error', reject),
    );
    upload.write(blob.subarray(0, 100));
    while ((await openUploads()) === before) await delay(20);
    const stopped = registry.stop();
    while (
      await fetch(`${registry.url}/healthz`).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      await delay(20);
    upload.end(blob.subarray(100));
    assert.equal(await answered, 201);
    await stopped;
    await registry.restart();
  });

  it('takes a changed configuration at SIGHUP, and none with a mistake; tokens survive a restart', async () => {
    assert.equal((await push(registry.url, 'team/app', 'v1', one, alice)).status, 201);
    const token = bearer(await tokenFor(registry.url, 'repository:team/app:pull', bob));
    assert.match(await reload({ ...configuration, access: { htpasswd, rule: [] } }), /nothing was changed/);
    assert.equal(await status('/v2/team/app/manifests/v1', token), 200);
    await registry.stop();
    await registry.restart();
    writeFileSync(
      join(registry.directory, 'registry.json'),
      JSON.stringify({ ...configuration, listen: registry.host, root: registry.storage }),
    );
    assert.equal(await status('/v2/team/app/manifests/v1', token), 200);
    writeFileSync(htpasswd, `alice:${hashSync('wonder', 5)}\n`);
    await reload({ ...configuration, readOnly: true, limits: { perAddress: { requestsPerSecond: 0.01, burst: 6 } } });
    assert.equal(await status('/v2/team/app/manifests/v1', token), 401, 'its user is gone');
    assert.equal((await push(registry.url, 'team/app', 'v9', one, alice)).status, 405, 'read-only');
    const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(`${registry.url}/v2/team/app/tags/list`, { headers: alice })));
    const limited = answers.find((answer) => answer.status === 429) ?? assert.fail('none was limited');
    assert.ok(Number(limited.headers.get('retry-after')) > 0);
    assert.match(await limited.text(), /"TOOMANYREQUESTS"/);
  });

  it('speaks TLS with an authority of its own, and asks for a password each time where it is told to', async () => {
    const certificates = await makeCertificates(join(directory, 'tls'));
    const own = await startGantryRegistry({
      configuration: {
        access: { htpasswd, scheme: 'basic' },
        tls: { certificate: join(certificates.server, 'cert.pem'), key: join(certificates.server, 'key.pem') },
      },
    });
    try {
      const certs = join(directory, 'certs.d');
      mkdirSync(certs);
      writeFileSync(join(certs, 'ca.crt'), readFileSync(join(certificates.server, 'ca.pem')));
      const [destination, credentials] = [`docker://${own.host}/team/app:v1`, ['--dest-creds', 'alice:wonder']];
      assert.notEqual((await skopeo('copy', '-q', ...credentials, `oci:${one.layout}`, destination)).status, 0, 'nobody vouches for it');
      const pushed = await skopeo('copy', '-q', ...credentials, '--dest-cert-dir', certs, `oci:${one.layout}`, destination);
      assert.equal(pushed.status, 0, pushed.stderr);
      assert.notEqual(
        (await skopeo('copy', '-q', '--dest-creds', 'alice:x', '--dest-cert-dir', certs, `oci:${one.layout}`, destination)).status,
        0,
      );
    } finally {
      await own.dispose();
    }
  });
});
