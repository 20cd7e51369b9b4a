import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { readTar } from '../../../archive/tar-stream.ts';
import { startBuild } from '../../../client/build-session.ts';
import { type BuildFolder, buildFolder } from '../testing/build-command.ts';

interface Asked {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** A daemon of Docker's that is as old as 1.41, and builds what the test says. */
async function dockerd(folder: BuildFolder, lines: readonly object[]) {
  const builds: Asked[] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const [, version = '', path = ''] = /^\/v([\d.]+)(\/.*)$/.exec(request.url ?? '') ?? [];
    const json = (status: number, value: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
    };
    if (version !== '1.41') json(400, { message: `client version ${version} is too new. Maximum supported API version is 1.41` });
    else if (path.startsWith('/build?')) {
      builds.push({ url: path, headers: request.headers, body });
      response.writeHead(200, { 'content-type': 'application/json' }).end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(''));
    } else json(404, { message: 'page not found' });
  });
  const socket = `${folder.path}/d.sock`;
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    builds,
    address: `unix://${socket}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function filesOf(tar: Buffer): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const { entry, content } of readTar([tar]))
    files[entry.path] = entry.type === 'file' ? String(await buffer(content)) : entry.type;
  return files;
}

const ID = `sha256:${'a'.repeat(64)}`;
const built = [{ stream: 'Step 1/1 : FROM scratch\n' }, { aux: { ID } }, { stream: 'Successfully built aaaaaaaaaaaa\n' }];

describe('classicBuild', () => {
  it("sends context, Dockerfile and options as Docker's client does, and prints the stream", async () => {
    using folder = buildFolder({
      'app/Dockerfile': 'FROM scratch',
      'app/.dockerignore': 'Dockerfile\nnode_modules',
      'app/a': 'x',
      'app/node_modules/b': 'y',
    });
    await using daemon = await dockerd(folder, built);
    const line =
      '-t web:1 --build-arg A=1 --label l=v --cache-from web:0 --no-cache --pull --network host --add-host h:1.2.3.4 -m 1m --ulimit nofile=1:2 --target t --iidfile id app';
    const run = folder.context(line, { address: daemon.address });
    assert.equal(await run.run(startBuild), 0);
    assert.deepEqual([run.stdout(), run.stderr()], ['Step 1/1 : FROM scratch\nSuccessfully built aaaaaaaaaaaa\n', '']);
    assert.equal(readFileSync(`${folder.path}/id`, 'utf8'), ID);
    const [asked] = daemon.builds;
    const query = Object.fromEntries(new URL(asked?.url ?? '', 'http://x').searchParams);
    const { dockerfile = '', ...rest } = query;
    assert.match(dockerfile, /^\.dockerfile\.[0-9a-f]{16}$/);
    assert.deepEqual(rest, {
      version: '1',
      t: 'web:1',
      nocache: '1',
      pull: '1',
      rm: '1',
      target: 't',
      buildargs: '{"A":"1"}',
      labels: '{"l":"v"}',
      cachefrom: '["web:0"]',
      networkmode: 'host',
      extrahosts: 'h:1.2.3.4',
      memory: '1048576',
      ulimits: '[{"Name":"nofile","Hard":2,"Soft":1}]',
    });
    assert.equal(asked?.headers['x-registry-config'], 'e30=');
    assert.deepEqual(await filesOf(asked?.body ?? Buffer.alloc(0)), {
      a: 'x',
      [dockerfile]: 'FROM scratch',
      '.dockerignore': `Dockerfile\nnode_modules\n${dockerfile}\n`,
    });
  });

  it('prints the ID alone with -q, and ends with the exit code of what failed', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch' });
    await using daemon = await dockerd(folder, [{ stream: `${ID}\n` }]);
    const quiet = folder.context('-q .', { address: daemon.address });
    assert.equal(await quiet.run(startBuild), 0);
    assert.equal(quiet.stdout(), `${ID}\n`);
    using other = buildFolder({ Dockerfile: 'FROM scratch' });
    await using failing = await dockerd(other, [
      { errorDetail: { code: 3, message: 'it returned a non-zero code: 3' }, error: 'it returned a non-zero code: 3' },
    ]);
    await assert.rejects(other.context('.', { address: failing.address }).run(startBuild), {
      message: 'it returned a non-zero code: 3',
      exitCode: 3,
    });
  });

  it('takes a Dockerfile, a tar, or an address', async () => {
    using folder = buildFolder();
    await using daemon = await dockerd(folder, built);
    const { address } = daemon;
    assert.equal(await folder.context('-', { address, stdin: 'FROM scratch' }).run(startBuild), 0);
    assert.deepEqual(await filesOf(daemon.builds[0]?.body ?? Buffer.alloc(0)), { Dockerfile: 'FROM scratch' });
    const tar = Buffer.alloc(1024);
    assert.equal(await folder.context('-f D -', { address, stdin: tar }).run(startBuild), 0);
    assert.match(daemon.builds[1]?.url ?? '', /dockerfile=D/);
    assert.deepEqual(daemon.builds[1]?.body, tar);
    assert.equal(await folder.context('https://h/x.git', { address }).run(startBuild), 0);
    assert.match(daemon.builds[2]?.url ?? '', /remote=https%3A%2F%2Fh%2Fx\.git/);
  });

  it('refuses by name what Docker has no words for', async () => {
    using folder = buildFolder({ Dockerfile: 'FROM scratch', s: '' });
    await using daemon = await dockerd(folder, built);
    const run = folder.context('--secret id=s --explain .', { address: daemon.address });
    await assert.rejects(run.run(startBuild), /knows no --explain, --secret: leave them away/);
    await assert.rejects(folder.context('--platform a/b,c/d .', { address: daemon.address }).run(startBuild), /one platform/);
    assert.equal(daemon.builds.length, 0);
  });
});
