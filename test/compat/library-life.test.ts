/** A container's whole life through client libraries: dockerode from npm, docker-py from Debian. Needs root and busybox-static; the second also python3-docker. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const noPythonDocker = (await shell('python3 -c "import docker"')).status === 0 ? false : 'needs python3-docker';
const patient = ['sh', '-c', 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done'];

suite('a whole life through client libraries', { skip }, () => {
  let daemon: GantryDaemon;
  let docker: Docker;

  before(async () => {
    daemon = await startGantry();
    docker = new Docker({ socketPath: daemon.host.replace('unix://', '') });
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  test('dockerode: pause, top, stats, update, rename, restart, kill, wait, events', async () => {
    const since = Math.floor(Date.now() / 1000);
    const container = await docker.createContainer({ Image: 'busybox', Cmd: patient, name: 'rode1', HostConfig: { NetworkMode: 'none' } });
    await container.start();
    await container.pause();
    assert.equal((await container.inspect()).State.Paused, true);
    await assert.rejects(container.pause(), { statusCode: 409 });
    await container.unpause();
    const top = (await container.top({ ps_args: '-eo pid,args' })) as { Titles: string[]; Processes: string[][] };
    assert.deepEqual(top.Titles, ['PID', 'COMMAND']);
    assert.ok(top.Processes.some(([, args]) => args?.includes('echo up')));
    const stats = (await container.stats({ stream: false })) as { pids_stats: { current?: number }; memory_stats: { usage?: number } };
    assert.ok((stats.pids_stats.current ?? 0) >= 1 && (stats.memory_stats.usage ?? 0) > 0);
    await container.update({
      Memory: 64 * 1024 * 1024,
      MemorySwap: 128 * 1024 * 1024,
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    });
    const { HostConfig } = await container.inspect();
    assert.deepEqual([HostConfig.Memory, HostConfig.RestartPolicy?.Name], [64 * 1024 * 1024, 'on-failure']);
    await container.rename({ name: 'rode2' });
    await container.restart({ t: 5 });
    const waited = container.wait({ condition: 'next-exit' }) as Promise<{ StatusCode: number }>;
    await container.kill({ signal: 'TERM' });
    assert.equal((await waited).StatusCode, 0);
    await container.remove();
    const until = Math.floor(Date.now() / 1000) + 1;
    const seen = await text(await docker.getEvents({ since, until, filters: { container: [container.id] } }));
    const actions = seen
      .split('\n')
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { Action: string }).Action);
    for (const action of ['create', 'start', 'pause', 'unpause', 'top', 'update', 'rename', 'restart', 'kill', 'die', 'destroy'])
      assert.ok(actions.includes(action), `${action} in ${actions.join(' ')}`);
  });

  test('dockerode: archives, changes, export, commit', async () => {
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sh', '-c', 'cat /in/f; echo made >/made'] });
    const tar = await shell('d=$(mktemp -d); mkdir $d/in; echo given >$d/in/f; tar -C $d -c in | base64 -w0; rm -r $d');
    await container.putArchive(Buffer.from(tar.stdout, 'base64'), { path: '/' });
    await container.start();
    assert.equal(((await container.wait()) as { StatusCode: number }).StatusCode, 0);
    const changes = (await container.changes()) as { Path: string; Kind: number }[];
    assert.deepEqual(
      changes.map(({ Path, Kind }) => `${Kind} ${Path}`),
      ['1 /in', '1 /in/f', '1 /made'],
    );
    assert.ok((await text(await container.getArchive({ path: '/made' }))).includes('made\n'));
    await assert.rejects(container.getArchive({ path: '/no/such' }), { statusCode: 404 });
    assert.ok((await text(await container.export())).includes('bin/busybox'));
    const { Id } = (await container.commit({ repo: 'rode', tag: 'life', changes: 'CMD ["cat","/made"]' })) as { Id: string };
    const out = new PassThrough();
    const printed = text(out);
    const [, second] = (await docker.run(Id, [], out, { Tty: true })) as [unknown, Docker.Container];
    out.end();
    assert.equal(await printed, 'made\r\n');
    await Promise.all([second.remove(), container.remove()]);
    await docker.getImage('rode:life').remove();
  });

  test('dockerode: health, restart policies, followed logs, prune', async () => {
    const healthy = await docker.createContainer({
      Image: 'busybox',
      Cmd: patient,
      Healthcheck: { Test: ['CMD', 'true'], Interval: 200_000_000 },
    });
    await healthy.start();
    const again = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['false'],
      HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 1 } },
    });
    await again.start();
    for (const deadline = Date.now() + 60_000; ; await delay(50)) {
      const [{ State }, { RestartCount, State: other }] = await Promise.all([healthy.inspect(), again.inspect()]);
      if (State.Health?.Status === 'healthy' && RestartCount === 1 && other.Status === 'exited') break;
      assert.ok(Date.now() < deadline, `${State.Health?.Status} ${RestartCount} ${other.Status}`);
    }
    const logs = await healthy.logs({ follow: true, stdout: true, stderr: true });
    const followed = text(logs as NodeJS.ReadableStream);
    await healthy.stop({ t: 5 });
    assert.match(await followed, /up\n/);
    const { ContainersDeleted } = await docker.pruneContainers();
    assert.deepEqual([...(ContainersDeleted ?? [])].sort(), [healthy.id, again.id].sort());
  });

  test('docker-py: the same calls', { skip: noPythonDocker }, async () => {
    const program = `
import docker, io, tarfile, os
c = docker.DockerClient(base_url=os.environ['DOCKER_HOST'])
d = c.containers.run('busybox', ${JSON.stringify(patient)}, detach=True, name='py1', network_mode='none', init=True, restart_policy={'Name': 'on-failure', 'MaximumRetryCount': 2}, healthcheck={'test': ['CMD', 'true'], 'interval': 300000000})
d.pause(); d.reload(); print(d.status)
d.unpause(); d.reload(); print(d.status)
print(d.top(ps_args='-eo pid,comm')['Titles'])
print(d.stats(stream=False)['name'])
print(d.update(mem_limit='64m', memswap_limit='128m')); d.reload(); print(d.attrs['HostConfig']['Memory'])
d.rename('py2'); d.reload(); print(d.name)
b = io.BytesIO(); t = tarfile.open(fileobj=b, mode='w'); i = tarfile.TarInfo('f'); i.size = 3; t.addfile(i, io.BytesIO(b'abc')); t.close()
print(d.put_archive('/tmp', b.getvalue()))
bits, stat = d.get_archive('/tmp/f'); print(stat['name'], stat['size'], tarfile.open(fileobj=io.BytesIO(b''.join(bits))).extractfile('f').read())
print([x for x in d.diff() if x['Path'] == '/tmp/f'])
print(sum(map(len, d.export())) > 1000000)
m = d.commit('py', 'life', message='note'); print(m.tags, c.images.get('py:life').history()[0]['Comment'])
d.restart(timeout=5); d.reload(); print(d.status, d.attrs['RestartCount'])
d.kill('TERM'); print(d.wait()['StatusCode'])
print([l.decode().strip() for l in d.logs(stream=True, follow=True)][-1])
d.remove(); c.images.remove('py:life')
print(c.df()['Containers'], c.containers.list(all=True))
`;
    const { status, stdout, stderr } = await runCommand(['python3', '-c', program], { env: { ...process.env, DOCKER_HOST: daemon.host } });
    assert.equal(status, 0, stderr);
    assert.equal(
      stdout,
      [
        'paused',
        'running',
        "['PID', 'COMMAND']",
        '/py1',
        "{'Warnings': None}",
        '67108864',
        'py2',
        'True',
        "f 3 b'abc'",
        "[{'Path': '/tmp/f', 'Kind': 1}]",
        'True',
        "['py:life'] note",
        'running 0',
        '0',
        'up',
        '[] []',
        '',
      ].join('\n'),
    );
  });
});

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('latin1');
}
