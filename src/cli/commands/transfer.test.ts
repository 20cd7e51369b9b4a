/** pull, push and the pull inside of run, against a daemon that answers what Docker's would. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { cliHome, type FakeDaemon, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const home = cliHome();
after(() => home[Symbol.dispose]());

const layer = (status: string, more: object = {}): object => ({ id: 'dbb98c25cb65', status, progressDetail: more });
const pulled = [
  { status: 'Pulling from bb', id: '1' },
  layer('Pulling fs layer'),
  layer('Downloading', { current: 5, total: 10 }),
  layer('Pull complete'),
  { status: 'Digest: sha256:1' },
  { status: 'Status: Downloaded newer image for r:1/bb:1' },
];
const pushed = [
  { status: 'The push refers to repository [r:1/bb]' },
  layer('Preparing'),
  layer('Layer already exists'),
  { status: '1: digest: sha256:1 size: 500' },
  { progressDetail: {}, aux: { Tag: '1', Digest: 'sha256:1', Size: 500 } },
];

let lines: readonly object[] = [];
let isHere = false;
let daemon: FakeDaemon;
before(async () => {
  daemon = await fakeDaemon(home.folder, answer);
});
after(() => daemon[Symbol.asyncDispose]());
beforeEach(() => {
  isHere = false;
  rmSync(`${home.folder}/.docker`, { recursive: true, force: true });
});

function answer(path: string, response: ServerResponse): void {
  if (path.startsWith('/containers/create')) {
    if (isHere) sendJson(response, 201, { Id: 'ab'.repeat(32), Warnings: [] });
    else sendJson(response, 404, { message: 'No such image: r:1/bb:1' });
    return;
  }
  if (path.startsWith('/images/create')) isHere = true;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(''));
}

const gantry = (line: string) => home.gantry(line.split(' '), { env: daemon.env });
const masked = (text: string): string => text.replace(/[\d.]+s( \([^)]*\))?/g, '<time>');

describe('pull', () => {
  it('prints what happens, the summary and the reference', async () => {
    lines = pulled;
    const { code, stdout } = await gantry('pull r:1/bb:1');
    assert.equal(code, 0);
    assert.equal(
      masked(stdout),
      [
        '1: Pulling from bb',
        'dbb98c25cb65: Pulling fs layer',
        'dbb98c25cb65: Pull complete',
        'Downloaded 10B in <time>, 1 layer',
        'Digest: sha256:1',
        'Status: Downloaded newer image for r:1/bb:1',
        'r:1/bb:1',
        '',
      ].join('\n'),
    );
    assert.equal((await gantry('pull -q r:1/bb:1')).stdout, 'r:1/bb:1\n');
    assert.equal((await gantry('pull -q bb')).stdout, 'docker.io/library/bb:latest\n');
  });

  it('goes on without credentials when their helper fails, and says so', async () => {
    lines = pulled;
    mkdirSync(`${home.folder}/.docker`);
    writeFileSync(`${home.folder}/.docker/config.json`, '{"credsStore":"is-not-there"}');
    const { code, stderr } = await gantry('pull -q r:1/bb:1');
    assert.equal(code, 0);
    assert.match(
      stderr,
      /^WARNING: cannot run the credential helper docker-credential-is-not-there: .*\nWARNING: asking r:1 without credentials\n$/,
    );
    assert.equal(daemon.headers.at(-1)?.['x-registry-auth'], 'e30=');
  });

  it('ends with the error of the stream', async () => {
    lines = [pulled[0] ?? {}, { errorDetail: { message: 'layer is damaged' }, error: 'layer is damaged' }];
    assert.deepEqual(await gantry('pull r:1/bb:1'), { code: 1, stdout: '1: Pulling from bb\n', stderr: 'layer is damaged\n' });
    assert.deepEqual(await gantry('pull -q r:1/bb:1'), { code: 1, stdout: '', stderr: 'layer is damaged\n' });
  });
});

describe('push', () => {
  it('prints what happens, or the reference alone', async () => {
    lines = pushed;
    assert.equal(
      (await gantry('push r:1/bb:1')).stdout,
      'The push refers to repository [r:1/bb]\ndbb98c25cb65: Preparing\ndbb98c25cb65: Layer already exists\nThe layer was there already\n1: digest: sha256:1 size: 500\n',
    );
    assert.equal((await gantry('push -q r:1/bb:1')).stdout, 'r:1/bb:1\n');
    assert.equal((await gantry('push -aq r:1/bb')).stdout, 'r:1/bb\n');
  });
});

describe('create with --pull', () => {
  it('pulls what is missing once, with its progress on standard error', async () => {
    lines = pulled;
    const { stdout, stderr } = await gantry('create r:1/bb:1');
    assert.equal(stdout, `${'ab'.repeat(32)}\n`);
    assert.match(
      stderr,
      /^Unable to find image 'r:1\/bb:1' locally\n1: Pulling from bb\n.*\nStatus: Downloaded newer image for r:1\/bb:1\n$/s,
    );
    isHere = false;
    assert.deepEqual(await gantry('create -q r:1/bb:1'), { code: 0, stdout: `${'ab'.repeat(32)}\n`, stderr: '' });
    isHere = false;
    assert.match((await gantry('create --pull never r:1/bb:1')).stderr, /^Error response from daemon: No such image: r:1\/bb:1\n$/);
  });

  it('takes the platform from DOCKER_DEFAULT_PLATFORM', async () => {
    lines = pulled;
    await home.gantry(['create', '--pull', 'always', 'r:1/bb:1'], { env: { ...daemon.env, DOCKER_DEFAULT_PLATFORM: 'linux/arm64' } });
    assert.equal(daemon.asked.at(-2)?.trim(), 'POST /images/create?fromImage=r%3A1%2Fbb&tag=1&platform=linux%2Farm64');
    assert.match(daemon.asked.at(-1) ?? '', /^POST \/containers\/create\?platform=linux%2Farm64 /);
  });
});
