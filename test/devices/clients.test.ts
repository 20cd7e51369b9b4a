/**
 * GPUs through the clients that people have: docker's CLI, docker-py, docker-compose 1.29, dockerode and our own, on a fake machine with two. All of them get the same
 * devices. Needs root, busybox-static and the docker CLI; python3-docker, docker-compose and the peer (docker.io 20.10) for their parts.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import Docker from 'dockerode';
import { runCli } from '../../src/cli/cli.ts';
import { runCommand, shell } from '../harness/command.ts';
import { type FakeDriver, makeFakeDriver } from '../harness/fake-driver.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { peerMissing, startPeer } from '../harness/peer.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : (await shell('docker --version')).status === 0 ? false : 'needs the docker CLI';
const noPython = (await shell('python3 -c "import docker"')).status === 0 ? false : 'needs python3-docker';
const noCompose = (await shell('/usr/bin/docker-compose version')).status === 0 ? false : 'needs docker-compose';

/** What a container sees of GPUs: nodes (open: `No such device or address`, since no driver is behind them; closed ones say another word), the variable, a library. */
const look = [
  'sh',
  '-c',
  'for node in /dev/nvidia*; do case $node in *uvm*|*modeset) continue;; esac; echo $node $( (: <$node) 2>&1 | sed "s/.*: //"); done; echo $NVIDIA_VISIBLE_DEVICES; readlink /usr/lib/*/libcuda.so.1',
];

suite('GPUs through real clients', { skip, timeout: 180_000 }, () => {
  let directory: string;
  let machine: FakeDriver;
  let daemon: GantryDaemon;
  const environment = () => ({ ...process.env, DOCKER_HOST: daemon.host });

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-clients-'));
    machine = makeFakeDriver(join(directory, 'machine'), { gpus: 2 });
    daemon = await startGantry({ flags: ['--device-root', machine.root, '--driver-root', machine.root, '--cdi-spec-dir', directory] });
    await loadBusybox(daemon.host);
  });
  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  const open = 'No such device or address';
  const sees = (gpus: readonly number[], variable: string): string =>
    [...gpus.map((gpu) => `/dev/nvidia${gpu} ${open}`), `/dev/nvidiactl ${open}`, variable, `libcuda.so.${machine.driverVersion}`, ''].join(
      '\n',
    );

  async function docker(...options: readonly string[]): Promise<string> {
    const line = ['run', '--rm', '--network', 'none', ...options, 'busybox', ...look];
    const { status, stdout, stderr } = await runCommand(['docker', ...line], { env: environment() });
    assert.equal(status, 0, `${options.join(' ')}: ${stderr}`);
    return stdout;
  }

  async function gantry(
    ...line: readonly string[]
  ): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const collected = Promise.all([text(stdout), text(stderr)]);
    const status = await runCli(line, { stdin, stdout, stderr, env: environment(), cwd: directory });
    stdout.end();
    stderr.end();
    const [out, err] = await collected;
    return { status, stdout: out, stderr: err };
  }

  test('docker and gantry: every spelling gives the same devices', async () => {
    const uuid = machine.gpus[1]?.uuid ?? '';
    const cases: readonly (readonly [options: readonly string[], seen: string])[] = [
      [['--gpus', 'all'], sees([0, 1], 'all')],
      [['--gpus', '1'], sees([0], '0')],
      [['--gpus', '"device=0,1"'], sees([0, 1], '0,1')],
      [['--gpus', `device=${uuid}`], sees([1], uuid)],
      [['--gpus', 'driver=nvidia,count=2,"capabilities=compute,utility"'], sees([0, 1], '0,1')],
      [['--device', 'nvidia.com/gpu=0'], sees([0], '')],
      [['--device', 'nvidia.com/gpu=all', '--device', '/dev/null:/dev/x'], sees([0, 1], '')],
    ];
    for (const [options, seen] of cases) {
      assert.equal(await docker(...options), seen, options.join(' '));
      const ours = await gantry('run', '--rm', '--network', 'none', ...options, 'busybox', ...look);
      assert.deepEqual(ours, { status: 0, stdout: seen, stderr: '' }, options.join(' '));
    }
  });

  test('exclusively, said by each client in its way; device ls tells by whom', async () => {
    await docker('-d', '--name', 'one', '--gpus', '1,options=exclusive=true');
    const two = await gantry('run', '-d', '--name', 'two', '--gpus', '1,exclusive', 'busybox', 'sleep', '1000');
    assert.equal(two.status, 0, two.stderr);
    const { stdout } = await gantry('device', 'ls', '--format', '{{.Name}} {{.HeldBy}}');
    assert.match(stdout, /^nvidia.com\/gpu=\d two \(exclusive\)$/m);
    const inspected = await gantry('inspect', '--format', '{{range .GrantedDevices.Held}}{{.Device}} {{.Exclusive}}{{end}}', 'two');
    assert.match(inspected.stdout, /^nvidia.com\/gpu=GPU-\S+ true\n$/);
    await gantry('rm', '-f', 'one', 'two');
  });

  test('docker info lists the devices', async () => {
    const { stdout } = await runCommand(['docker', 'info'], { env: environment() });
    assert.match(
      stdout,
      / CDI spec directories:\n {2}\/.*\n Discovered Devices:\n {2}cdi: nvidia.com\/gpu=0\n {2}cdi: nvidia.com\/gpu=1\n/,
    );
    assert.ok((await gantry('info')).stdout.includes(/ CDI spec[\s\S]* Swarm/.exec(stdout)?.[0] ?? 'nothing'));
  });

  test('docker-py: device_requests', { skip: noPython }, async () => {
    const program = `
import docker, sys
client = docker.DockerClient(base_url=sys.argv[1], version='1.41')
def run(**request):
    requests = [docker.types.DeviceRequest(capabilities=[['gpu']], **request)]
    sys.stdout.write(client.containers.run('busybox', sys.argv[2:], remove=True, network_mode='none', device_requests=requests).decode())
run(count=-1)
run(device_ids=['1'], driver='nvidia')
`;
    const { status, stdout, stderr } = await runCommand(['python3', '-c', program, daemon.host, ...look]);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, sees([0, 1], 'all') + sees([1], '1'));
  });

  test('docker-compose 1.29: deploy.resources.reservations.devices', { skip: noCompose }, async () => {
    const reservation = (device: object) => ({ resources: { reservations: { devices: [{ capabilities: ['gpu'], ...device }] } } });
    const service = (device: object) => ({
      image: 'busybox',
      command: look.map((word) => word.replaceAll('$', '$$$$')),
      network_mode: 'none',
      deploy: reservation(device),
    });
    const project = { services: { every: service({ driver: 'nvidia', count: 'all' }), second: service({ device_ids: ['1'] }) } };
    mkdirSync(join(directory, 'project'));
    writeFileSync(join(directory, 'project/docker-compose.yml'), JSON.stringify(project));
    const compose = async (...words: readonly string[]) =>
      await runCommand(['/usr/bin/docker-compose', ...words], {
        cwd: join(directory, 'project'),
        env: { ...environment(), COMPOSE_API_VERSION: '1.44' },
      });
    const { status, stderr } = await compose('up', '--no-color');
    assert.equal(status, 0, stderr);
    const logs = async (name: string) => (await runCommand(['docker', 'logs', name], { env: environment() })).stdout;
    assert.equal(await logs('project_every_1'), sees([0, 1], 'all'));
    assert.equal(await logs('project_second_1'), sees([1], '1'));
  });

  test('dockerode: HostConfig.DeviceRequests', async () => {
    const client = new Docker({ socketPath: daemon.host.replace('unix://', '') });
    const out = new PassThrough();
    const DeviceRequests = [{ Driver: '', Count: -1, Capabilities: [['gpu']] }];
    const HostConfig = { NetworkMode: 'none', DeviceRequests } as Docker.HostConfig;
    const [result, container] = (await client.run('busybox', look, out, { Tty: true, HostConfig })) as [
      { StatusCode: number },
      Docker.Container,
    ];
    out.end();
    assert.equal(result.StatusCode, 0);
    assert.equal((await text(out)).replaceAll('\r', ''), sees([0, 1], 'all'));
    const inspected = await container.inspect();
    assert.deepEqual((inspected.HostConfig as { DeviceRequests?: unknown }).DeviceRequests, [
      { Driver: '', Count: -1, DeviceIDs: null, Capabilities: [['gpu']], Options: null },
    ]);
    await container.remove();
  });
});

suite('without a driver', { skip: skip || (peerMissing() ?? false), timeout: 180_000 }, () => {
  test('the peer and we refuse in the same words; ours go on with the cause', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-no-driver-'));
    const [peer, daemon] = await Promise.all([
      startPeer(),
      startGantry({ flags: ['--device-root', directory, '--driver-root', directory, '--cdi-spec-dir', directory] }),
    ]);
    try {
      await loadBusybox(peer.host, daemon.host);
      for (const options of [
        ['--gpus', 'all'],
        ['--gpus', '"capabilities=compute,utility"'],
        ['--gpus', 'driver=nvidia,count=2'],
        ['--gpus', 'driver=bogus'],
      ]) {
        const [theirs, ours] = await Promise.all([peer.host, daemon.host].map((host) => refusal(host, options)));
        assert.match(theirs ?? '', /could not select device driver "\w*" with capabilities: \[\[.*gpu\]\]\.?$/, options.join(' '));
        const words = (theirs ?? '').replace(/\.$/, '');
        assert.ok(ours?.startsWith(words) && ours.length > words.length + 10, `${ours} instead of ${theirs}`);
      }
    } finally {
      await Promise.all([peer.stop(), daemon.dispose()]);
      rmSync(directory, { recursive: true, force: true });
    }
  });

  /** The first line of what docker says. */
  async function refusal(host: string, options: readonly string[]): Promise<string> {
    const { status, stderr } = await runCommand(['docker', '-H', host, 'run', '--rm', '--network', 'none', ...options, 'busybox', 'true']);
    assert.equal(status, 125);
    return (
      stderr
        .split('\n')
        .find((line) => line.includes('could not select'))
        ?.trim() ?? stderr
    );
  }
});
