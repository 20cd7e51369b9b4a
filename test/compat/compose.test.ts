/** docker-compose 1.29 (Debian's, Python) with a project of two services, as people use it. Needs root, docker-compose and busybox-static. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const missing =
  process.getuid?.() !== 0
    ? 'needs root'
    : (await shell('/usr/bin/docker-compose version')).status === 0
      ? null
      : 'needs docker-compose (apt-get install docker-compose)';

const loop = (words: string): string => `sh -c "echo ${words}; trap 'exit 0' TERM; while :; do sleep 0.1; done"`;

const project = `
version: "2.4"
services:
  db:
    image: busybox
    command: ${loop('db up')}
    healthcheck: { test: ["CMD", "test", "-e", "/data"], interval: 300ms }
    volumes: ["data:/data"]
  web:
    image: busybox
    command: ${loop('web up')}
    environment: ["MODE=test"]
    depends_on: { db: { condition: service_healthy } }
    mem_limit: 64m
    labels: { who: me }
volumes:
  data:
`;

suite('docker-compose 1.29', { skip: missing ?? false }, () => {
  let daemon: GantryDaemon;
  const compose = (...args: string[]): Promise<CommandResult> =>
    runCommand(['/usr/bin/docker-compose', '-p', 'pj', ...args], {
      cwd: daemon.directory,
      // It reads a field of images that API 1.45 dropped (KeyError: 'ContainerConfig', as with Docker 25 and newer).
      env: { ...process.env, DOCKER_HOST: daemon.host, COMPOSE_API_VERSION: '1.44' },
      timeoutMs: 120_000,
    });

  async function ok(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await compose(...args);
    assert.equal(status, 0, `docker-compose ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    writeFileSync(`${daemon.directory}/docker-compose.yml`, project);
  });
  after(() => daemon?.dispose());

  test('up waits for health, and the services find each other', async () => {
    await ok('up', '-d');
    assert.match(await ok('ps'), /pj_db_1 .*Up \(healthy\)[\s\S]*pj_web_1 .*Up/);
    assert.equal(await ok('exec', '-T', 'web', 'sh', '-c', 'echo $MODE; ping -c1 -W5 db | grep -c "1 packets received"'), 'test\n1\n');
    assert.match(await ok('up', '-d'), /^$/);
  });

  test('logs, top, restart, pause, one-off containers', async () => {
    const logs = await ok('logs', '--no-color');
    assert.match(logs, /db_1 +\| db up/);
    assert.match(logs, /web_1 +\| web up/);
    assert.match(await ok('top', 'web'), /web up/);
    await ok('restart', '-t', '5');
    assert.match(await ok('logs', '--no-color', 'web'), /web up[\s\S]*web up/);
    await ok('pause', 'db');
    assert.match(await ok('ps'), /pj_db_1 .*Paused/);
    await ok('unpause', 'db');
    assert.equal(await ok('run', '--rm', '-T', '--no-deps', 'web', 'echo', 'one-off'), 'one-off\n');
  });

  test('a changed service is made anew, the other one stays', async () => {
    writeFileSync(`${daemon.directory}/docker-compose.yml`, project.replace('MODE=test', 'MODE=other'));
    const before = await ok('ps', '-q', 'db');
    await ok('up', '-d', '-t', '5');
    assert.equal(await ok('ps', '-q', 'db'), before);
    assert.equal(await ok('exec', '-T', 'web', 'sh', '-c', 'echo $MODE'), 'other\n');
  });

  test('build: services from Dockerfiles, with arguments and a target', async () => {
    mkdirSync(`${daemon.directory}/app`);
    writeFileSync(
      `${daemon.directory}/app/Dockerfile`,
      'FROM busybox AS dev\nARG WHO\nRUN echo hello $WHO >/hello\nCMD cat /hello\nFROM dev\nRUN false\n',
    );
    const build = {
      context: 'app',
      target: 'dev',
      args: { WHO: 'compose' },
      labels: { a: 'b' },
      cache_from: ['pj_built'],
      shm_size: '32m',
    };
    const file = `${daemon.directory}/build.yml`;
    writeFileSync(file, JSON.stringify({ version: '3.7', services: { built: { build } } }));
    const text = await ok('-f', file, 'build');
    assert.match(text, /Successfully built [0-9a-f]{12}\nSuccessfully tagged pj_built:latest/);
    assert.equal(await ok('-f', file, 'run', '--rm', '-T', 'built'), 'hello compose\n');
    assert.match(await ok('-f', file, 'build', '--no-cache', '--force-rm', 'built'), /hello|Successfully tagged/);
    const { stderr, status } = await shell('docker rmi pj_built', { env: { ...process.env, DOCKER_HOST: daemon.host } });
    assert.equal(status, 0, stderr);
  });

  test('down -v leaves nothing', async () => {
    await ok('stop', '-t', '5');
    await ok('down', '-v');
    const left = await shell('docker ps -aq; docker volume ls -q; docker network ls -q --filter name=pj', {
      env: { ...process.env, DOCKER_HOST: daemon.host },
    });
    assert.equal(left.stdout, '');
  });
});
