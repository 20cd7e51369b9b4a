/** Client libraries and registries: dockerode as Testcontainers uses it, docker-py from Debian. Needs root, docker-registry and busybox-static; the second also python3-docker. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import Docker from 'dockerode';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { debianRegistryMissing } from '../harness/registry-process.ts';
import { type LineRegistries, startLineRegistries } from './line-registries.ts';

const skip = (process.getuid?.() === 0 ? debianRegistryMissing() : 'needs root') ?? false;
const noPythonDocker = (await shell('python3 -c "import docker"')).status === 0 ? false : 'needs python3-docker';

interface Progress {
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
  readonly aux?: { readonly Tag: string; readonly Digest: string; readonly Size: number };
}

suite('client libraries and registries', { skip }, () => {
  let daemon: GantryDaemon;
  let registries: LineRegistries;
  let docker: Docker;

  before(async () => {
    [daemon, registries] = await Promise.all([startGantry(), startLineRegistries([])]);
    docker = new Docker({ socketPath: daemon.host.replace('unix://', '') });
    await loadBusybox(daemon.host);
  });
  after(async () => {
    await daemon?.dispose();
    await registries?.dispose();
  });

  const follow = (stream: NodeJS.ReadableStream): Promise<readonly Progress[]> =>
    new Promise((resolve, reject) =>
      docker.modem.followProgress(stream, (error, output) => (error === null ? resolve(output as Progress[]) : reject(error))),
    );
  const statuses = (progress: readonly Progress[]): ReadonlySet<string> => new Set(progress.map(({ status }) => status ?? ''));

  test('dockerode: push and pull with their progress', async () => {
    const name = `${registries.env.R}/rode`;
    await docker.getImage('busybox').tag({ repo: name, tag: '1' });
    const pushed = await follow(await docker.getImage(name).push({ tag: '1' }));
    assert.ok(statuses(pushed).has('Pushed'), JSON.stringify(pushed));
    const aux = pushed.find((progress) => progress.aux !== undefined)?.aux;
    assert.equal(aux?.Tag, '1');
    assert.match(aux?.Digest ?? '', /^sha256:[0-9a-f]{64}$/);
    assert.ok((await docker.getImage(`${name}:1`).inspect()).RepoDigests.includes(`${name}@${aux?.Digest}`));
    await docker.getImage(`${name}:1`).remove();
    await docker.getImage('busybox').remove();
    const pulled = await follow((await docker.pull(`${name}:1`)) as NodeJS.ReadableStream);
    for (const status of [
      'Pulling from rode',
      'Pulling fs layer',
      'Pull complete',
      `Digest: ${aux?.Digest}`,
      `Status: Downloaded newer image for ${name}:1`,
    ])
      assert.ok(statuses(pulled).has(status), `${status} in ${JSON.stringify(pulled)}`);
    await docker.getImage(`${name}:1`).tag({ repo: 'busybox', tag: 'latest' });
    const again = await follow((await docker.pull(`${name}:1`)) as NodeJS.ReadableStream);
    assert.ok(statuses(again).has(`Status: Image is up to date for ${name}:1`));
    const described = (await docker.getImage(`${name}:1`).distribution()) as {
      Descriptor: { digest: string };
      Platforms: { os: string }[];
    };
    assert.equal(described.Platforms[0]?.os, 'linux');
    await assert.rejects(docker.pull(`${name}:nope`), { statusCode: 404 });
    await assert.rejects(docker.pull(`${registries.env.R}/nothing`), { statusCode: 404 });
  });

  test('dockerode: credentials with each request', async () => {
    const name = `${registries.env.RA}/rode`;
    const authconfig = { username: 'alice', password: 'wonder', serveraddress: registries.env.RA };
    assert.match(JSON.stringify(await docker.checkAuth(authconfig)), /Login Succeeded/);
    await assert.rejects(docker.checkAuth({ ...authconfig, password: 'x' }), { statusCode: 401 });
    await docker.getImage('busybox').tag({ repo: name, tag: 'latest' });
    const refused = await follow(await docker.getImage(name).push({}));
    assert.match(refused.at(-1)?.error ?? '', /no basic auth credentials|authentication required/);
    assert.ok((await follow(await docker.getImage(name).push({ authconfig }))).some(({ aux }) => aux !== undefined));
    await assert.rejects(docker.pull(name), (error: { statusCode?: number; message: string }) => !error.message.includes('wonder'));
    await assert.rejects(
      docker.pull(name, { authconfig: { ...authconfig, password: 'wonderX' } }),
      (error: Error) => !error.message.includes('wonderX'),
    );
    assert.ok(
      statuses(await follow((await docker.pull(name, { authconfig })) as NodeJS.ReadableStream)).has(
        `Status: Image is up to date for ${name}:latest`,
      ),
    );
  });

  test('dockerode: the way of Testcontainers: look, pull, create, start', async () => {
    const name = `${registries.env.R}/testcontainers:1`;
    await docker.getImage('busybox').tag({ repo: name.slice(0, -2), tag: '1' });
    await follow(await docker.getImage(name.slice(0, -2)).push({ tag: '1' }));
    await docker.getImage(name).remove();
    await assert.rejects(docker.getImage(name).inspect(), { statusCode: 404 });
    await follow((await docker.pull(name)) as NodeJS.ReadableStream);
    const container = await docker.createContainer({ Image: name, Cmd: ['true'], HostConfig: { NetworkMode: 'none' } });
    await container.start();
    assert.equal(((await container.wait()) as { StatusCode: number }).StatusCode, 0);
    await container.remove();
  });

  test('docker-py: login, push, pull, all tags, registry data', { skip: noPythonDocker }, async () => {
    const program = `
import docker, os
R, RA = os.environ['R'], os.environ['RA']
c = docker.DockerClient(base_url=os.environ['DOCKER_HOST'])
b = c.images.get('busybox')
for tag in ['1', '2']:
    b.tag(R + '/py', tag)
print(any(l.get('status', '').startswith(('Pushed', 'Mounted from')) for l in c.images.push(R + '/py', tag='1', stream=True, decode=True)))
print([sorted(l['aux']) for l in c.images.push(R + '/py', stream=True, decode=True) if 'aux' in l])
for tag in ['1', '2']:
    c.images.remove(R + '/py:' + tag)
i = c.images.pull(R + '/py', tag='1')
print([t for t in i.tags if '/py' in t] == [R + '/py:1'])
print(sorted(t.split(':')[-1] for t in sum([i.tags for i in c.images.pull(R + '/py', all_tags=True)], []) if '/py' in t))
print(c.images.get_registry_data(R + '/py:1').attrs['Platforms'][0]['architecture'] in ('amd64', 'arm64'))
print(c.login(username='alice', password='wonder', registry=RA)['Status'])
b.tag(RA + '/py', 'x')
print(any('aux' in l for l in c.images.push(RA + '/py', tag='x', stream=True, decode=True)))
print(c.images.pull(RA + '/py', tag='x').id == b.id)
try:
    c.login(username='alice', password='nope', registry=RA, reauth=True)
except docker.errors.APIError as e:
    print(e.status_code, 'nope' in str(e))
try:
    c.images.pull(R + '/nothing', tag='1')
except docker.errors.NotFound as e:
    print('not found')
for line in c.api.push(R + '/missing', stream=True, decode=True):
    print(line.get('error', '-').replace(R, 'R'))
`;
    const { status, stdout, stderr } = await runCommand(['python3', '-c', program], {
      env: { ...process.env, ...registries.env, DOCKER_HOST: daemon.host, DOCKER_CONFIG: daemon.directory },
    });
    assert.equal(status, 0, stderr);
    assert.equal(
      stdout,
      [
        'True',
        "[['Digest', 'Size', 'Tag'], ['Digest', 'Size', 'Tag']]",
        'True',
        "['1', '2']",
        'True',
        'Login Succeeded',
        'True',
        'True',
        '401 False',
        'not found',
        '-',
        'An image does not exist locally with the tag: R/missing',
        '',
      ].join('\n'),
    );
  });
});
