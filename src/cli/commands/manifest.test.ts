import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { mediaTypes } from '../../oci/manifest.ts';
import { cliHome, type FakeDaemon, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const home = cliHome();
after(() => home[Symbol.dispose]());

const document = (letter: string, mediaType: string): string =>
  JSON.stringify({ schemaVersion: 2, mediaType, config: { mediaType: 'c', size: 1, digest: letter }, layers: [] });
const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** Repository and tag → what the registry has there. */
const remote: Readonly<Record<string, { readonly text: string; readonly mediaType: string; readonly arch?: string }>> = {
  'r:5000/x:1': { text: document('a', mediaTypes.dockerManifest), mediaType: mediaTypes.dockerManifest, arch: 'amd64' },
  'r:5000/y:1': { text: document('b', mediaTypes.dockerManifest), mediaType: mediaTypes.dockerManifest, arch: 'amd64' },
  'r:5000/oci:1': { text: document('c', mediaTypes.ociManifest), mediaType: mediaTypes.ociManifest, arch: 'arm64' },
  'r:5000/index:1': { text: '{"schemaVersion":2,"manifests":[]}', mediaType: mediaTypes.ociIndex },
  'other:1/x:1': { text: document('d', mediaTypes.dockerManifest), mediaType: mediaTypes.dockerManifest, arch: 's390x' },
};

let daemon: FakeDaemon;
before(async () => {
  daemon = await fakeDaemon(home.folder, (path, response) => {
    const [, name = '', verb = ''] = /^\/distribution\/(.*)\/(manifest|bring)/.exec(decodeURIComponent(path.split('?')[0] ?? '')) ?? [];
    const asked = daemon.asked.at(-1) ?? '';
    if (path === '/info') return sendJson(response, 200, { RegistryConfig: { IndexConfigs: { 'known:1': { Secure: false } } } });
    if (verb === 'bring') return sendJson(response, 201, { digest: /@(sha256:\w+)/.exec(decodeURIComponent(path))?.[1] });
    if (asked.startsWith('PUT')) {
      const { Raw } = JSON.parse(asked.slice(asked.indexOf('{'))) as { Raw: string };
      return sendJson(response, 201, { digest: sha256(Buffer.from(Raw, 'base64').toString()) });
    }
    const found = remote[name];
    if (found === undefined) return sendJson(response, 404, { message: 'manifest unknown' });
    const { text, mediaType, arch } = found;
    return sendJson(response, 200, {
      Descriptor: { mediaType, digest: sha256(text), size: text.length },
      Raw: Buffer.from(text).toString('base64'),
      Platforms: arch === undefined ? [] : [{ os: 'linux', architecture: arch }],
    });
  });
});
after(() => daemon[Symbol.asyncDispose]());

const manifest = (line: string) => home.gantry(['manifest', ...line.split(' ')], { env: daemon.env });

describe('manifest', () => {
  it('makes a list, annotates and pushes it, and forgets it', async () => {
    assert.equal((await manifest('create r:5000/list:1 r:5000/x:1 r:5000/y:1')).stdout, 'Created manifest list r:5000/list:1\n');
    assert.deepEqual(await manifest('annotate --arch arm --variant v7 --os-features a,b r:5000/list:1 r:5000/y:1'), {
      code: 0,
      stdout: '',
      stderr: '',
    });
    const listed = await manifest('inspect r:5000/list:1');
    const list = JSON.parse(listed.stdout) as { mediaType: string; manifests: { platform: object }[] };
    assert.equal(list.mediaType, mediaTypes.dockerIndex);
    assert.deepEqual(
      list.manifests.map(({ platform }) => platform),
      [
        { architecture: 'amd64', os: 'linux' },
        { architecture: 'arm', os: 'linux', 'os.features': ['a', 'b'], variant: 'v7' },
      ],
    );
    const pushed = await manifest('push --purge r:5000/list:1');
    const digests = ['r:5000/x:1', 'r:5000/y:1'].map((name) => sha256(remote[name]?.text ?? ''));
    assert.equal(
      pushed.stdout,
      `${digests.map((digest) => `Pushed ref r:5000/list@${digest} with digest: ${digest}\n`).join('')}${sha256(listed.stdout.trimEnd())}\n`,
    );
    assert.deepEqual(
      daemon.asked.filter((asked) => asked.startsWith('POST')).map((asked) => decodeURIComponent(asked)),
      digests.map((digest, at) => `POST /distribution/r:5000/list/bring?from=r:5000/${'xy'[at]}@${digest}`),
    );
    assert.equal(existsSync(`${home.folder}/.docker/manifests/r-5000_list-1`), false);
  });

  it('is an OCI index as soon as one of them is', async () => {
    await manifest('create r:5000/mixed r:5000/x:1 r:5000/oci:1');
    assert.match((await manifest('inspect r:5000/mixed')).stdout, /"mediaType": "application\/vnd\.oci\.image\.index\.v1\+json"/);
    assert.equal((await manifest('inspect -v r:5000/mixed r:5000/oci:1')).stdout.match(/"OCIManifest"/g)?.length, 1);
    assert.equal((await manifest('rm r:5000/mixed')).code, 0);
  });

  it('asks the registry for what is not in the making', async () => {
    assert.equal(
      (await manifest('inspect r:5000/x:1')).stdout,
      `${JSON.stringify(JSON.parse(remote['r:5000/x:1']?.text ?? ''), null, '\t')}\n`,
    );
    const verbose = JSON.parse((await manifest('inspect -v r:5000/x:1')).stdout) as { Ref: string; Descriptor: { platform: object } };
    assert.deepEqual([verbose.Ref, verbose.Descriptor.platform], ['r:5000/x:1', { os: 'linux', architecture: 'amd64' }]);
  });

  for (const [line, message] of [
    ['inspect r:5000/nope', /^no such manifest: r:5000\/nope:latest\n$/],
    ['inspect r:5000/list:9 r:5000/x:1', /^No such manifest: r:5000\/x:1\n$/],
    ['create r:5000/l r:5000/index:1', /^r:5000\/index:1 is a manifest list\n$/],
    ['create r:5000/l r:5000/x:1 r:5000/nope', /^no such manifest/],
    ['annotate r:5000/list:9 r:5000/x:1', /^manifest for image r:5000\/x:1 does not exist in r:5000\/list:9\n$/],
    ['push r:5000/l', /^No such manifest: r:5000\/l:latest\n$/],
    ['rm r:5000/l', /^No such manifest: r:5000\/l:latest\n$/],
    ['inspect --insecure r:5000/x:1', /^--insecure: the daemon does not speak to r:5000 without TLS\. Put it into insecure-registries/],
  ] as const)
    it(`${line}: refused`, async () => {
      const { code, stderr } = await manifest(line);
      assert.equal(code, 1);
      assert.match(stderr, message);
    });

  it('refuses to amend by accident, to name half a platform, to mix registries', async () => {
    await manifest('create r:5000/z other:1/x:1');
    assert.match(
      (await manifest('create r:5000/z r:5000/x:1')).stderr,
      /^refusing to amend an existing manifest list with no --amend flag/,
    );
    assert.match((await manifest('annotate --os bogus r:5000/z other:1/x:1')).stderr, /unsupported os\/arch combination: bogus\/s390x/);
    assert.match((await manifest('push r:5000/z')).stderr, /cannot use source images from a different registry .*: other:1 != r:5000/);
    assert.equal((await manifest('create --amend r:5000/z r:5000/x:1')).code, 0);
    assert.equal((await manifest('inspect --insecure localhost:5000/x')).stderr, 'no such manifest: localhost:5000/x:latest\n');
    assert.equal((await manifest('inspect --insecure known:1/x')).stderr, 'no such manifest: known:1/x:latest\n');
  });
});
