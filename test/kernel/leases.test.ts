/**
 * What is beyond Docker around a container's life: times to live and leases over crashes of daemon and client, tools beside a container without a shell.
 * Needs root, the docker CLI and busybox-static.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('leases and debug', { skip }, () => {
  let daemon: GantryDaemon;
  const env = () => ({ ...process.env, GANTRY_HOST: daemon.host, DOCKER_HOST: daemon.host });
  const gantry = (...args: string[]): Promise<CommandResult> =>
    runCommand([process.execPath, '--no-warnings', '--', programEntry, ...args], { env: env() });
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', ...args], { env: env() });

  const left = async (): Promise<string> => {
    const [containers, networks, volumes] = await Promise.all([
      docker('ps', '-a', '--filter', 'label=of=test', '--format', '{{.Names}}'),
      docker('network', 'ls', '--filter', 'label=of=test', '--format', '{{.Name}}'),
      docker('volume', 'ls', '--filter', 'label=of=test', '--format', '{{.Name}}'),
    ]);
    return [containers, networks, volumes]
      .flatMap(({ stdout }) => stdout.split('\n').filter(Boolean))
      .sort()
      .join(' ');
  };

  async function untilLeft(expected: string): Promise<void> {
    for (const deadline = Date.now() + 60_000; (await left()) !== expected; await delay(100))
      if (Date.now() > deadline) assert.equal(await left(), expected);
  }

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  test('a time to live is kept over a crash of the daemon; without one a container stays', async () => {
    const run = (...args: string[]) => gantry('run', '-d', '--network', 'none', '-l', 'of=test', ...args, 'busybox', 'sleep', '1000');
    assert.equal((await run('--name', 'short', '--ttl', '3s', '-v', '/anonymous')).status, 0);
    assert.equal((await run('--name', 'long', '--ttl', '10h')).status, 0);
    assert.equal(await left(), 'long short');
    await daemon.crash();
    await daemon.restart();
    await untilLeft('long');
    assert.equal((await docker('volume', 'ls', '-q')).stdout, '', 'its anonymous volume goes along');
    await docker('rm', '-f', 'long');
  });

  test('what a leased program makes through any client goes with it, however it ends', async () => {
    const script = `docker run -d --name held --network none -l of=test busybox sleep 1000 && docker volume create --label of=test lv &&
      docker network create --label of=test ln && echo made && sleep 1000`;
    const args = ['--no-warnings', '--', programEntry, 'lease', '--grace', '500ms', 'sh', '-c', script];
    const child = spawn(process.execPath, args, { env: env(), stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
    });
    await untilLeft('held ln lv');
    for (const deadline = Date.now() + 60_000; !output.includes('made'); await delay(50)) assert.ok(Date.now() < deadline, output);
    // The daemon may crash in between: its holder comes back.
    await daemon.crash();
    await daemon.restart();
    await delay(1500);
    assert.equal(await left(), 'held ln lv');
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await untilLeft('');
  });

  test('lease gives its program its exit code, and tells what cannot be run', async () => {
    assert.equal((await gantry('lease', 'sh', '-c', 'exit 7')).status, 7);
    const missing = await gantry('lease', '/no/such/program');
    assert.equal(missing.status, 127);
    assert.match(missing.stderr, /cannot run \/no\/such\/program/);
  });

  test('debug brings tools to a container that has none, and leaves nothing', async () => {
    const root = `${daemon.directory}/bare`;
    mkdirSync(`${root}/etc`, { recursive: true });
    copyFileSync('/bin/busybox', `${root}/sleep`);
    assert.equal((await shell(`tar -C ${root} -c . | docker import - bare:1`, { env: env() })).status, 0);
    assert.equal((await docker('run', '-d', '--name', 'bare', '-h', 'barehost', 'bare:1', '/sleep', '1000')).status, 0);
    assert.notEqual((await docker('exec', 'bare', 'sh')).status, 0);
    const seen = await gantry(
      'debug',
      'bare',
      'sh',
      '-c',
      'hostname; cat /proc/1/comm; ls /target; ip -4 -o addr show dev eth0 | wc -l; exit 5',
    );
    assert.deepEqual(seen, { status: 5, stdout: 'barehost\nsleep\ndev\netc\nproc\nsleep\nsys\n1\n', stderr: '' });
    const piped = await runCommand([process.execPath, '--no-warnings', '--', programEntry, 'debug', '-i', 'bare', 'cat'], {
      env: env(),
      input: 'in',
    });
    assert.equal(piped.stdout, 'in');
    assert.equal((await docker('ps', '-a', '--format', '{{.Names}}')).stdout, 'bare\n');
    await docker('stop', '-t', '0', 'bare');
    assert.match((await gantry('debug', 'bare')).stderr, /cannot debug bare: it does not run/);
    await docker('rm', '-f', 'bare');
  });
});
