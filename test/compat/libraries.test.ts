/** Client libraries as they are: dockerode from npm, docker-py from Debian (python3-docker). Needs root and busybox-static; the second also python3-docker. */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const noPythonDocker = (await shell('python3 -c "import docker"')).status === 0 ? false : 'needs python3-docker';

suite('client libraries', { skip }, () => {
  let daemon: GantryDaemon;
  let docker: Docker;

  before(async () => {
    daemon = await startGantry();
    docker = new Docker({ socketPath: daemon.host.replace('unix://', '') });
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  test('dockerode: run with its own demultiplexing', async () => {
    const [out, err] = [collect(), collect()];
    const [result, container] = (await docker.run('busybox', ['sh', '-c', 'echo out; echo err >&2; exit 3'], [out.stream, err.stream], {
      Tty: false,
      HostConfig: { NetworkMode: 'none' },
    })) as [{ StatusCode: number }, Docker.Container];
    assert.equal(result.StatusCode, 3);
    assert.equal(out.text(), 'out\n');
    assert.equal(err.text(), 'err\n');
    await container.remove();
  });

  test('dockerode: attach with hijack, half-close, wait', async () => {
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['cat'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      AttachStdout: true,
    });
    const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
    const out = collect();
    docker.modem.demuxStream(stream, out.stream, out.stream);
    const ended = new Promise((resolve) => stream.on('end', resolve));
    await container.start();
    stream.end('through dockerode\n');
    assert.equal(((await container.wait()) as { StatusCode: number }).StatusCode, 0);
    await ended;
    assert.equal(out.text(), 'through dockerode\n');
    await container.remove();
  });

  test('dockerode: exec without hijack, inspect, logs, stats of state, events', async () => {
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sh', '-c', 'echo started; sleep 100'], name: 'rode' });
    await container.start();
    await assert.rejects(container.start(), { statusCode: 304 });
    const exec = await container.exec({ Cmd: ['sh', '-c', 'echo inside; exit 7'], AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({});
    const out = collect();
    docker.modem.demuxStream(stream, out.stream, out.stream);
    await new Promise((resolve) => stream.on('end', resolve));
    assert.equal(out.text(), 'inside\n');
    assert.equal((await exec.inspect()).ExitCode, 7);
    const logs = await container.logs({ stdout: true, stderr: true, follow: false });
    assert.equal(logs.subarray(8).toString(), 'started\n');
    assert.equal((await container.inspect()).State.Running, true);
    assert.equal((await docker.listContainers({ filters: { name: ['rode'] } })).length, 1);
    await container.remove({ force: true });
    await assert.rejects(docker.getContainer('rode').inspect(), { statusCode: 404 });
  });

  test('dockerode: images, tag, history, remove', async () => {
    await docker.getImage('busybox').tag({ repo: 'rode', tag: 'v1' });
    const listed = await docker.listImages({ filters: { reference: ['rode'] } });
    assert.deepEqual(
      listed[0]?.RepoTags?.filter((tag) => tag.startsWith('rode')),
      ['rode:v1'],
    );
    assert.ok((await docker.getImage('rode:v1').history()).length > 0);
    await docker.getImage('rode:v1').remove();
  });

  test('dockerode: a port as Testcontainers asks for it', async () => {
    const bridge = (await docker.getNetwork('bridge').inspect()) as { IPAM: { Config: { Gateway: string }[] } };
    assert.match(bridge.IPAM.Config[0]?.Gateway ?? '', /^\d+\.\d+\.\d+\.\d+$/);
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'echo served >/tmp/index.html; exec httpd -f -p 80 -h /tmp'],
      ExposedPorts: { '80': {} },
      HostConfig: { PortBindings: { '80': [{ HostPort: '0' }] } },
    });
    await container.start();
    // What is published is known when the start has answered.
    const { Ports } = (await container.inspect()).NetworkSettings;
    assert.deepEqual(Object.keys(Ports), ['80/tcp']);
    const [first] = Ports['80/tcp'] ?? [];
    for (const address of ['127.0.0.1', bridge.IPAM.Config[0]?.Gateway ?? '']) {
      const answer = await fetchWhenReady(`http://${address}:${first?.HostPort}/`);
      assert.equal(answer, 'served\n', address);
    }
    await container.stop({ t: 0 });
    await container.remove({ v: true });
  });

  test('dockerode: networks and volumes', async () => {
    const network = await docker.createNetwork({ Name: 'rodenet', CheckDuplicate: true, Labels: { a: 'b' }, Attachable: true });
    await assert.rejects(docker.createNetwork({ Name: 'rodenet', CheckDuplicate: true }), { statusCode: 409 });
    assert.equal((await docker.listNetworks({ filters: { label: ['a=b'] } })).length, 1);
    const volume = await docker.createVolume({ Name: 'rodevol', Labels: { a: 'b' } });
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'echo kept >/data/f; exec sleep 100'],
      HostConfig: { NetworkMode: 'rodenet', Binds: ['rodevol:/data'] },
      NetworkingConfig: { EndpointsConfig: { rodenet: { Aliases: ['al'] } } },
    });
    await network.disconnect({ Container: container.id });
    await network.connect({ Container: container.id, EndpointConfig: { Aliases: ['other'] } });
    await container.start();
    const { NetworkSettings, Mounts } = await container.inspect();
    assert.ok(NetworkSettings.Networks.rodenet?.Aliases?.includes('other'));
    assert.equal(Mounts[0]?.Name, 'rodevol');
    await assert.rejects(network.remove(), { statusCode: 403 });
    await assert.rejects(volume.remove(), { statusCode: 409 });
    await container.remove({ force: true, v: true });
    assert.equal((await docker.listVolumes({ filters: { name: ['rodevol'] } })).Volumes.length, 1);
    await volume.remove();
    await network.remove();
    await assert.rejects(docker.getNetwork('rodenet').inspect(), { statusCode: 404 });
    await assert.rejects(docker.getVolume('rodevol').inspect(), { statusCode: 404 });
  });

  test('docker-py: networks, ports, volumes', { skip: noPythonDocker }, async () => {
    const program = `
import docker
c = docker.DockerClient(base_url=__import__('os').environ['DOCKER_HOST'])
n = c.networks.create('pynet', driver='bridge', check_duplicate=True, labels={'a': 'b'}, ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet='10.79.0.0/24', gateway='10.79.0.1')]))
n.reload()
print(n.name, n.attrs['IPAM']['Config'], n.attrs['Labels'], n.containers)
v = c.volumes.create('pyvol', labels={'k': 'v'})
print(v.name, v.attrs['Labels'], v.attrs['Driver'])
d = c.containers.run('busybox', 'sleep 100', detach=True, name='pyc', network='pynet', ports={'80/tcp': None, '53/udp': ('127.0.0.1', 18530)}, volumes={'pyvol': {'bind': '/data', 'mode': 'rw'}})
d.reload()
print(sorted(d.ports), d.ports['53/udp'], len(d.ports['80/tcp']), d.attrs['Mounts'][0]['Name'], list(d.attrs['NetworkSettings']['Networks']))
n.reload()
print([x.name for x in n.containers])
n.disconnect(d)
n.connect(d, aliases=['x'], ipv4_address='10.79.0.44')
d.reload()
print(d.attrs['NetworkSettings']['Networks']['pynet']['IPAddress'])
try:
    n.remove()
except docker.errors.APIError as e:
    print(e.status_code)
d.remove(force=True)
v.remove()
n.remove()
print(c.networks.prune(), c.volumes.prune()['SpaceReclaimed'])
`;
    const { status, stdout, stderr } = await runCommand(['python3', '-c', program], { env: { ...process.env, DOCKER_HOST: daemon.host } });
    assert.equal(status, 0, stderr);
    assert.equal(
      stdout,
      [
        "pynet [{'Subnet': '10.79.0.0/24', 'Gateway': '10.79.0.1'}] {'a': 'b'} []",
        "pyvol {'k': 'v'} local",
        "['53/udp', '80/tcp'] [{'HostIp': '127.0.0.1', 'HostPort': '18530'}] 2 pyvol ['pynet']",
        "['pyc']",
        '10.79.0.44',
        '403',
        "{'NetworksDeleted': None} 0",
        '',
      ].join('\n'),
    );
  });

  // docker-py reads the answer's head through a buffered reader and the stream past it: output that arrives together with the head is lost in that buffer. It
  // happens with every engine that is quick enough, hence the pause in the exec whose output counts.
  test('docker-py: containers.run, exec_run, logs, wait, archives of images, prune', { skip: noPythonDocker }, async () => {
    const program = `
import docker, io, json
c = docker.DockerClient(base_url=__import__('os').environ['DOCKER_HOST'])
assert c.ping()
print(c.containers.run('busybox', ['echo', 'from python'], remove=True).decode().strip())
try:
    c.containers.run('busybox', ['sh', '-c', 'echo bad >&2; exit 4'], remove=True, stderr=True)
except docker.errors.ContainerError as e:
    print(e.exit_status, e.stderr.decode().strip())
d = c.containers.run('busybox', ['sh', '-c', 'echo one; sleep 100'], detach=True, name='py', labels={'a': 'b'}, mem_limit='32m')
print(d.status, d.exec_run(['sh', '-c', 'sleep 0.3; echo inside']).output.decode().strip(), d.exec_run('false').exit_code)
d.reload()
print(d.status, d.attrs['HostConfig']['Memory'], d.labels['a'], d.logs().decode().strip())
d.stop(timeout=0)
print(d.wait()['StatusCode'])
d.remove()
try:
    c.images.get('no-such-image')
except docker.errors.ImageNotFound:
    print('image not found')
try:
    c.containers.get('nope')
except docker.errors.NotFound:
    print('container not found')
data = b''.join(c.images.get('busybox').save(named=True))
print([i.tags for i in c.images.load(data)])
print(c.containers.list(all=True), c.volumes.list(), sorted(n.name for n in c.networks.list()), c.containers.prune()['SpaceReclaimed'])
`;
    const { status, stdout, stderr } = await runCommand(['python3', '-c', program], { env: { ...process.env, DOCKER_HOST: daemon.host } });
    assert.equal(status, 0, stderr);
    assert.equal(
      stdout,
      [
        'from python',
        '4 bad',
        'created inside 1',
        'running 33554432 b one',
        '137',
        'image not found',
        'container not found',
        "[['busybox:latest']]",
        "[] [] ['bridge', 'host', 'none'] 0",
        '',
      ].join('\n'),
    );
  });
  test('dockerode: buildImage and followProgress', async () => {
    const context = mkdtempSync(join(daemon.directory, 'rode-'));
    writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nARG V\nCOPY file /file\nRUN echo value $V; test $V != bad\n');
    writeFileSync(join(context, 'file'), 'from dockerode\n');
    const build = async (value: string): Promise<readonly { stream?: string; error?: string; aux?: { ID: string } }[]> => {
      const options = { t: 'rodebuilt:1', buildargs: { V: value }, labels: { by: 'rode' }, rm: true };
      const stream = await docker.buildImage({ context, src: ['Dockerfile', 'file'] }, options);
      return await new Promise((resolve, reject) =>
        docker.modem.followProgress(stream, (error, lines) => (error ? reject(error) : resolve(lines))),
      );
    };
    const lines = await build('good');
    const text = lines.map(({ stream = '' }) => stream).join('');
    assert.match(
      text,
      /^Step 1\/4 : FROM busybox\n[\s\S]*\nvalue good\n[\s\S]*Successfully built [0-9a-f]{12}\nSuccessfully tagged rodebuilt:1\n$/,
    );
    const { Id, Config } = await docker.getImage('rodebuilt:1').inspect();
    assert.deepEqual([lines.find(({ aux }) => aux !== undefined)?.aux?.ID, Config.Labels], [Id, { by: 'rode' }]);
    const out = collect();
    const [, container] = await docker.run('rodebuilt:1', ['cat', '/file'], [out.stream, out.stream], {
      Tty: false,
      HostConfig: { NetworkMode: 'none' },
    });
    await (container as Docker.Container).remove();
    assert.equal(out.text(), 'from dockerode\n');
    assert.match((await build('bad')).at(-1)?.error ?? '', /returned a non-zero code: 1/);
    await assert.rejects(docker.buildImage({ context, src: ['file'] }), {
      statusCode: 400,
      message: /Cannot locate specified Dockerfile: Dockerfile/,
    });
    await docker.getImage('rodebuilt:1').remove();
  });

  test('docker-py: images.build, its log and errors', { skip: noPythonDocker }, async () => {
    const program = `
import docker, io, os, tarfile, tempfile
c = docker.DockerClient(base_url=os.environ['DOCKER_HOST'])
d = tempfile.mkdtemp()
write = lambda name, text: open(os.path.join(d, name), 'w').write(text)
write('Dockerfile', 'FROM busybox AS one\\nARG V=1\\nCOPY . /c\\nRUN echo v $V; ls -A /c\\nFROM one\\nRUN false\\n')
write('kept', 'k')
write('left.log', 'l')
write('.dockerignore', '*.log\\n')
image, log = c.images.build(path=d, tag='pybuilt:1', target='one', buildargs={'V': '2'}, labels={'by': 'py'}, rm=True, forcerm=True, pull=False, nocache=True, container_limits={'memory': 64 << 20, 'cpushares': 100}, shmsize=32 << 20, network_mode='none', extra_hosts={'other': '10.0.0.1'})
text = ''.join(line.get('stream', '') for line in log)
print(image.tags, image.labels, 'v 2' in text, 'left.log' in text, 'kept' in text, 'Successfully tagged pybuilt:1' in text)
try:
    c.images.build(path=d)
except docker.errors.BuildError as e:
    print(e.msg, 'RUN false' in ''.join(line.get('stream', '') for line in e.build_log))
quiet, _ = c.images.build(fileobj=io.BytesIO(b'FROM pybuilt:1\\nCMD ["ls", "-A", "/c"]\\n'), quiet=True)
print(c.containers.run(quiet, remove=True).decode().split())
try:
    c.images.build(fileobj=io.BytesIO(b'FROM busybox\\nBOGUS\\n'))
except docker.errors.APIError as e:
    print(e.status_code, e.explanation)
try:
    c.images.build(fileobj=io.BytesIO(b'FROM no-such.invalid/x\\n'))
except docker.errors.BuildError as e:
    print('build error')
b = io.BytesIO()
t = tarfile.open(mode='w:gz', fileobj=b)
t.add(d, '.')
t.close()
b.seek(0)
zipped, _ = c.images.build(fileobj=b, custom_context=True, encoding='gzip', target='one')
print(zipped.labels)
pruned = c.api.prune_builds()
print(sorted(pruned))
for i in (quiet, zipped, image):
    c.images.remove(i.id, force=True)
`;
    const { status, stdout, stderr } = await runCommand(['python3', '-c', program], { env: { ...process.env, DOCKER_HOST: daemon.host } });
    assert.equal(status, 0, stderr);
    assert.equal(
      stdout,
      [
        "['pybuilt:1'] {'by': 'py'} True False True True",
        "The command '/bin/sh -c false' returned a non-zero code: 1 True",
        "['.dockerignore', 'Dockerfile', 'kept']",
        '400 dockerfile parse error on line 2: unknown instruction: BOGUS',
        'build error',
        '{}',
        "['CachesDeleted', 'SpaceReclaimed']",
        '',
      ].join('\n'),
    );
  });
});

/** A server in a container needs a moment after the start. */
async function fetchWhenReady(url: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await (await fetch(url, { signal: AbortSignal.timeout(2000) })).text();
    } catch (error) {
      if (attempt === 50) throw error;
      await delay(100);
    }
  }
}

function collect(): { readonly stream: PassThrough; text(): string } {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
