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
    ['network create --gateway 10.0.0.1 n', 1, /^every ip-range or gateway must have a corresponding subnet\n$/],
    ['volume create --sharing all v', 1, /^--sharing is not supported: it is for cluster volumes/],
    ['volume ls --cluster', 1, /--cluster is not supported: cluster volumes belong to swarm mode/],
    ['update -m 1x c', 125, /^invalid argument "1x" for "-m, --memory" flag: invalid suffix: 'x'/],
    ['update --restart on-failure:x c', 1, /^invalid restart policy format: maximum retry count must be an integer/],
    ['update c', 1, /^you must provide one or more flags/],
    ['update --publish-rm a:b c', 1, /^--publish-rm: invalid containerPort: b/],
    ['run --detatch x', 125, /^unknown flag: --detatch\. Did you mean --detach\?\n\nUsage: {2}gantry run \[OPTIONS\] IMAGE/],
    ['run', 1, /^gantry: 'gantry run' requires at least 1 argument\n/],
    ['ps extra', 1, /'gantry ps' accepts no arguments/],
    ['rename a', 1, /'gantry rename' requires 2 arguments/],
    ['run -m abc x', 125, /^invalid argument "abc" for "-m, --memory" flag: invalid size: 'abc'/],
    ['-H tcp://127.0.0.1:1 ps', 1, /Cannot connect to the Gantry daemon at tcp:\/\/127\.0\.0\.1:1\. Is it running/],
    ['-H ssh://x ps', 1, /ssh:\/\/ addresses are not supported yet/],
    ['-H tcp://127.0.0.1:1 --tlscacert=/nowhere --tlsverify ps', 125, /cannot read the file of --tlscacert/],
    [
      '-H unix:///nonexistent/s ps',
      1,
      /^Cannot connect to the Gantry daemon at unix:\/\/\/nonexistent\/s\. Is it running\? Start it with `gantry daemon`\n$/,
    ],
    ['-H unix:///nonexistent/s run x', 125, /^gantry: Cannot connect/],
    ['-H unix://relative ps', 1, /must be absolute/],
    ['--context nope ps', 1, /context "nope" not found/],
    ['run --ttl soon x', 125, /invalid argument "soon" for "--ttl" flag: time: invalid duration "soon"/],
    ['create --ttl -1s x', 125, /"--ttl" flag: it must be above zero/],
    ['inspect --diff a', 2, /--diff compares two objects: gantry inspect --diff A B/],
    ['inspect --diff -f {{.Id}} a b', 2, /--diff takes no template/],
    ['completion nope', 1, /no completion for nope/],
    ['debug', 1, /'gantry debug' requires at least 1 argument/],
    ['lease', 1, /'gantry lease' requires at least 1 argument/],
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

  /** What was asked for, while every call succeeds. */
  function record(body: unknown): string[] {
    const asked: string[] = [];
    handle = (request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += String(chunk);
      });
      request.on('end', () => {
        asked.push(`${request.method} ${request.url?.replace(/^\/v[\d.]+/, '')} ${text}`.trim());
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      });
    };
    return asked;
  }

  it('ports shows who exposes what', async () => {
    const port = { ContainerID: 'ab'.repeat(32), Network: 'bridge', Protocol: 'tcp', HostPort: 8080, ContainerPort: 80, How: 'nat' };
    answer(200, [
      { ...port, ContainerName: 'web', HostIp: '0.0.0.0', ContainerIp: '172.17.0.2', ReachableFrom: ['host', 'containers', 'network'] },
      { ...port, ContainerName: 'web', HostIp: '::1', ContainerIp: 'fd00::2', How: 'proxy', ReachableFrom: ['host'] },
      { ...port, ContainerName: 'dns', HostIp: '0.0.0.0', HostPort: 53, Protocol: 'udp', ContainerIp: '172.17.0.3', ReachableFrom: [] },
    ]);
    const { stdout } = await gantry(['ports'], { env });
    assert.equal(
      stdout,
      [
        'ADDRESS            CONTAINER   TARGET          NETWORK   HOW       REACHABLE FROM',
        '0.0.0.0:53/udp     dns         172.17.0.3:80   bridge    nat       ',
        '0.0.0.0:8080/tcp   web         172.17.0.2:80   bridge    nat       host, containers, network',
        '[::1]:8080/tcp     web         [fd00::2]:80    bridge    proxy     host',
        '',
      ].join('\n'),
    );
    assert.equal((await gantry(['ports', '-q'], { env })).stdout, '0.0.0.0:53/udp\n0.0.0.0:8080/tcp\n[::1]:8080/tcp\n');
    assert.equal(JSON.parse((await gantry(['ports', '--format', 'json'], { env })).stdout.split('\n')[0] ?? '').Container, 'dns');
  });

  it('update changes the ports of each container', async () => {
    const asked = record({});
    const line = 'update --publish-add 127.0.0.1:8080:80 --publish-add 53/udp --publish-rm 443 --publish-rm 81:81 --publish-rm 81 a b';
    assert.deepEqual(await gantry(line.split(' '), { env }), { code: 0, stdout: 'a\nb\n', stderr: '' });
    assert.deepEqual(asked.sort(), [
      ...['a', 'b'].map(
        (name) =>
          `POST /containers/${name}/ports {"Add":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"53/udp":[{"HostIp":"","HostPort":""}]},"Remove":{"443/tcp":[],"81/tcp":[]}}`,
      ),
    ]);
  });

  it('volume rename, clone, import', async () => {
    const asked = record({ Name: 'w', Driver: 'local' });
    assert.deepEqual(await gantry(['volume', 'rename', 'v', 'w'], { env }), { code: 0, stdout: '', stderr: '' });
    assert.equal((await gantry(['volume', 'clone', '--label', 'a=b', 'v', 'w'], { env })).stdout, 'w\n');
    assert.equal((await gantry(['volume', 'import', '--merge', 'v'], { env, stdin: 'a tar' })).code, 0);
    writeFileSync(`${folder}/v.tar`, 'another tar');
    assert.equal((await gantry(['volume', 'import', '-i', `${folder}/v.tar`, 'v'], { env })).code, 0);
    assert.match((await gantry(['volume', 'import', '-i', `${folder}/nope.tar`, 'v'], { env })).stderr, /no such file/);
    assert.deepEqual(asked, [
      'POST /volumes/v/rename {"Name":"w"}',
      'POST /volumes/v/clone {"Name":"w","Labels":{"a":"b"}}',
      'PUT /volumes/v/import?merge=1 a tar',
      'PUT /volumes/v/import another tar',
    ]);
  });

  it('volume export writes to standard output or a file', async () => {
    answer(200, 'tar');
    assert.equal((await gantry(['volume', 'export', 'v'], { env })).stdout, '"tar"');
    await gantry(['volume', 'export', '-o', `${folder}/exported.tar`, 'v'], { env });
    assert.equal(readFileSync(`${folder}/exported.tar`, 'utf8'), '"tar"');
  });

  it('volume ls -s asks for sizes, and only then', async () => {
    const volume = { Name: 'v', Driver: 'local', UsageData: { Size: 2048, RefCount: 1 } };
    const asked = record({
      Volumes: [volume, { ...volume, Name: 'w', UsageData: { Size: -1, RefCount: 0 } }],
      Warnings: ['plugin p is away'],
    });
    assert.deepEqual(await gantry(['volume', 'ls', '-s'], { env }), {
      code: 0,
      stdout: 'DRIVER    VOLUME NAME   LINKS     SIZE\nlocal     v             1         2.048kB\nlocal     w             0         N/A\n',
      stderr: 'WARNING: plugin p is away\n',
    });
    await gantry(['volume', 'ls'], { env });
    await gantry(['volume', 'ls', '--format', '{{.Size}}'], { env });
    assert.deepEqual(asked, ['GET /volumes?size=1', 'GET /volumes', 'GET /volumes?size=1']);
  });

  it('network rm goes on after a failure, and -f forgives what is not there', async () => {
    handle = (request, response) => {
      const gone = request.url?.includes('gone') === true;
      response.writeHead(gone ? 404 : 204, { 'content-type': 'application/json' });
      response.end(gone ? '{"message":"network gone not found"}' : undefined);
    };
    const complaint = 'Error response from daemon: network gone not found\n';
    assert.deepEqual(await gantry(['network', 'rm', 'a', 'gone', 'b'], { env }), { code: 1, stdout: 'a\nb\n', stderr: complaint });
    assert.deepEqual(await gantry(['network', 'rm', '-f', 'gone', 'b'], { env }), { code: 0, stdout: 'b\n', stderr: '' });
  });

  it('port writes IPv6 in brackets, in natural order', async () => {
    const two = [
      { HostIp: '0.0.0.0', HostPort: '8080' },
      { HostIp: '::', HostPort: '8080' },
    ];
    answer(200, {
      NetworkSettings: { Ports: { '443/tcp': null, '80/tcp': two, '9/sctp': [], '53/udp': [{ HostIp: '127.0.0.1', HostPort: '53' }] } },
    });
    assert.equal((await gantry(['port', 'c'], { env })).stdout, '53/udp -> 127.0.0.1:53\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n');
    assert.equal((await gantry(['port', 'c', '80'], { env })).stdout, '0.0.0.0:8080\n[::]:8080\n');
    for (const wanted of ['443', '9/sctp', '1'])
      assert.match((await gantry(['port', 'c', wanted], { env })).stderr, /^Error: No public port '.*' published for c/);
    assert.match((await gantry(['port', 'c', 'nope'], { env })).stderr, /^Error: invalid port \(nope\)/);
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
