import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { PassThrough, Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { runCli } from './cli.ts';
import { commandTable, missingCommands } from './command-table.ts';

const folder = mkdtempSync(`${tmpdir()}/gantry-cli-`);
after(() => rmSync(folder, { recursive: true, force: true }));

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function gantry(
  args: readonly string[],
  options: { readonly env?: Record<string, string>; readonly stdin?: string } = {},
): Promise<Result> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const collected = [stdout, stderr].map(async (stream) => {
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return text;
  });
  const stdin = new PassThrough();
  stdin.end(options.stdin ?? '');
  const code = await runCli(args, { stdin, stdout, stderr, env: { HOME: folder, ...options.env }, cwd: folder });
  stdout.end();
  stderr.end();
  const [out = '', err = ''] = await Promise.all(collected);
  return { code, stdout: out, stderr: err };
}

describe('command table', () => {
  for (const entry of commandTable) {
    it(`${entry.paths[0]} loads and helps`, async () => {
      for (const path of entry.paths) {
        const { code, stdout } = await gantry([...path.split(' '), '--help']);
        assert.equal(code, 0);
        assert.ok(stdout.startsWith(`Usage:  gantry ${path}`), stdout);
        assert.ok(stdout.includes(entry.summary));
      }
    });
  }

  it('has every name once', () => {
    const names = [...commandTable.flatMap((entry) => entry.paths), ...missingCommands];
    assert.deepEqual(names, [...new Set(names)]);
  });
});

describe('runCli without a daemon', () => {
  const cases: readonly (readonly [string, number, RegExp])[] = [
    ['runn', 1, /unknown command: gantry runn\. Did you mean `gantry run`\?/],
    ['image lss', 1, /unknown command: gantry image lss\. Did you mean `gantry image ls`\?/],
    ['compose up', 1, /`gantry compose` is not supported yet/],
    ['network create x', 1, /`gantry network create` is not supported yet/],
    ['run --detatch x', 125, /^unknown flag: --detatch\. Did you mean --detach\?\n\nUsage: {2}gantry run \[OPTIONS\] IMAGE/],
    ['run', 1, /^gantry: 'gantry run' requires at least 1 argument\n/],
    ['ps extra', 1, /'gantry ps' accepts no arguments/],
    ['rename a', 1, /'gantry rename' requires 2 arguments/],
    ['run -m abc x', 125, /^invalid argument "abc" for "-m, --memory" flag: invalid size: 'abc'/],
    ['-H tcp://x:1 ps', 1, /tcp:\/\/ addresses are not supported yet/],
    ['--tls ps', 125, /--tls is not supported yet/],
    [
      '-H unix:///nonexistent/s ps',
      1,
      /^Cannot connect to the Gantry daemon at unix:\/\/\/nonexistent\/s\. Is it running\? Start it with `gantry daemon`\n$/,
    ],
    ['-H unix:///nonexistent/s run x', 125, /^gantry: Cannot connect/],
    ['-H unix://relative ps', 1, /must be absolute/],
    ['--context nope ps', 1, /context "nope" not found/],
    ['images --tree', 1, /--tree is not supported yet/],
    ['run --use-api-socket x', 125, /--use-api-socket is not supported yet/],
    ['start --checkpoint a x', 125, /--checkpoint is not supported/],
  ];
  for (const [line, code, message] of cases) {
    it(line, async () => {
      const result = await gantry(line.split(' '));
      assert.match(result.stderr, message);
      assert.equal(result.code, code);
    });
  }

  it('takes the address from -H, GANTRY_HOST, DOCKER_HOST, the context, in this order', async () => {
    const where = async (args: readonly string[], env: Record<string, string>): Promise<string> =>
      /unix:\/\/(\S+?)\. Is/.exec((await gantry([...args, 'ps'], { env })).stderr)?.[1] ?? '';
    assert.equal(await where(['-H', 'unix:///no/1'], { GANTRY_HOST: 'unix:///no/2', DOCKER_HOST: 'unix:///no/3' }), '/no/1');
    assert.equal(await where([], { GANTRY_HOST: 'unix:///no/2', DOCKER_HOST: 'unix:///no/3' }), '/no/2');
    assert.equal(await where([], { DOCKER_HOST: 'unix:///no/3' }), '/no/3');
    const { createHash } = await import('node:crypto');
    const { mkdirSync } = await import('node:fs');
    const meta = `${folder}/.docker/contexts/meta/${createHash('sha256').update('far').digest('hex')}`;
    mkdirSync(meta, { recursive: true });
    writeFileSync(
      `${meta}/meta.json`,
      JSON.stringify({ Name: 'far', Metadata: { Description: 'd' }, Endpoints: { docker: { Host: 'unix:///no/4' } } }),
    );
    assert.deepEqual(await gantry(['context', 'use', 'far']), { code: 0, stdout: 'far\n', stderr: 'Current context is now "far"\n' });
    assert.equal(await where([], {}), '/no/4');
    assert.match((await gantry(['context', 'ls'])).stdout, /far \* +d +unix:\/\/\/no\/4/);
    assert.equal((await gantry(['context', 'show'])).stdout, 'far\n');
    await gantry(['context', 'use', 'default']);
    assert.equal(readFileSync(`${folder}/.docker/config.json`, 'utf8'), '{}\n');
  });
});

describe('runCli against a daemon', () => {
  const socket = `${folder}/s`;
  const env = { GANTRY_HOST: `unix://${socket}` };
  let server: Server;
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {};

  before(async () => {
    server = createServer((request, response) => handle(request, response));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  function answer(status: number, body: unknown): void {
    handle = (request, response) => {
      request.resume();
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body === undefined ? '' : JSON.stringify(body));
    };
  }

  it("ps prints the daemon's containers in columns", async () => {
    const created = Math.floor(Date.now() / 1000) - 120;
    answer(200, [
      {
        Id: 'ab'.repeat(32),
        Names: ['/web'],
        Image: 'busybox',
        ImageID: 'sha256:1',
        Command: 'sh -c "a very long command"',
        Created: created,
        Ports: [
          { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 80, Type: 'tcp' },
          { IP: '0.0.0.0', PrivatePort: 81, PublicPort: 81, Type: 'tcp' },
          { PrivatePort: 99, Type: 'udp' },
        ],
        Labels: {},
        State: 'running',
        Status: 'Up 2 minutes',
      },
    ]);
    const { stdout } = await gantry(['ps'], { env });
    assert.equal(
      stdout,
      'CONTAINER ID   IMAGE     COMMAND                   CREATED         STATUS         PORTS                              NAMES\nabababababab   busybox   "sh -c \\"a very long …"   2 minutes ago   Up 2 minutes   0.0.0.0:80-81->80-81/tcp, 99/udp   web\n',
    );
  });

  it('rm tells each failure and goes on', async () => {
    handle = (request, response) => {
      response.statusCode = request.url?.includes('gone') ? 404 : 204;
      response.setHeader('content-type', 'application/json');
      response.end(request.url?.includes('gone') ? '{"message":"No such container: gone"}' : undefined);
    };
    assert.deepEqual(await gantry(['rm', 'a', 'gone', 'b'], { env }), {
      code: 1,
      stdout: 'a\nb\n',
      stderr: 'Error response from daemon: No such container: gone\n',
    });
    assert.equal((await gantry(['rm', '-f', 'gone'], { env })).code, 0);
  });

  it('run passes 126 and 127 on from the words of a failed start', async () => {
    for (const [message, code] of [
      ['exec: "x": executable file not found in $PATH', 127],
      ['exec: "/etc": permission denied', 126],
      ['something else', 125],
    ] as const) {
      handle = (request, response) => {
        request.resume();
        const failed = request.url?.endsWith('/start') ?? false;
        response.writeHead(failed ? 400 : 201, { 'content-type': 'application/json' });
        response.end(JSON.stringify(failed ? { message } : { Id: 'a'.repeat(64), Warnings: [] }));
      };
      const result = await gantry(['run', '-d', 'x'], { env });
      assert.equal(result.code, code);
      assert.match(result.stderr, /^gantry: Error response from daemon: /);
    }
  });

  it('asks before it prunes', async () => {
    answer(200, { ContainersDeleted: ['abc'], SpaceReclaimed: 1234 });
    assert.equal(
      (await gantry(['container', 'prune'], { env, stdin: 'n\n' })).stdout,
      'WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ',
    );
    assert.match(
      (await gantry(['container', 'prune'], { env, stdin: 'y\n' })).stdout,
      /Deleted Containers:\nabc\n\nTotal reclaimed space: 1\.234kB\n$/,
    );
  });

  it('ends quietly with 141 when nobody reads any more', async () => {
    answer(
      200,
      Array.from({ length: 50 }, () => ({
        Id: 'a'.repeat(64),
        Names: ['/x'],
        Image: 'i',
        ImageID: '',
        Command: '',
        Created: 0,
        Ports: [],
        Labels: {},
        State: '',
        Status: '',
      })),
    );
    const stdout = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const stderr = new PassThrough().resume();
    const io = { stdin: new PassThrough(), stdout, stderr, env: { HOME: folder, ...env }, cwd: folder };
    const code = await runCli(['ps', '-a'], io);
    assert.ok(code === 141 || code === 0);
    assert.equal(stderr.readableLength, 0);
  });

  it('load shows progress and ends with the error of the stream', async () => {
    handle = async (request, response) => {
      for await (const _ of request);
      response.end('{"stream":"Loaded image: a:1\\n"}\n{"errorDetail":{"message":"the tar is broken"},"error":"the tar is broken"}\n');
    };
    assert.deepEqual(await gantry(['load'], { env, stdin: 'tar' }), {
      code: 1,
      stdout: 'Loaded image: a:1\n',
      stderr: 'the tar is broken\n',
    });
  });

  it('save leaves no file behind when the daemon breaks off', async () => {
    handle = (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    };
    const { code, stderr } = await gantry(['save', '-o', `${folder}/out.tar`, 'x'], { env });
    assert.equal(code, 1);
    assert.match(stderr, /cannot save to .*out\.tar: /);
    assert.throws(() => readFileSync(`${folder}/out.tar`), /ENOENT/);
  });
});
