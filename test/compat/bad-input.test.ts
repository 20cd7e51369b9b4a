/**
 * Bad input through the docker CLI and as raw HTTP: the message and status that Docker gives or a better one, nothing left behind (data root, cgroups,
 * processes), and a daemon that goes on. Where the peer can run, statuses and texts are compared with its own.
 * Needs root, the docker CLI and busybox-static.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { busyboxArchive, loadBusybox } from '../harness/images.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

interface Answer {
  readonly status: number;
  readonly body: string;
}

function call(
  host: string,
  method: string,
  path: string,
  body?: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const type = typeof body === 'string' ? { 'content-type': 'application/json' } : {};
    const sent = request({ socketPath: host.slice('unix://'.length), method, path, headers: { ...type, ...headers }, timeout: 30_000 });
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

function messageOf({ body }: Answer): string {
  const { message } = JSON.parse(body) as { message?: unknown };
  assert.equal(typeof message, 'string', body);
  return message as string;
}

/** What a refused request must not change: names below the data root (less the content of layers), our cgroups and our processes. */
function traces(daemon: GantryDaemon): readonly string[] {
  const name = `gantry-${createHash('sha256').update(daemon.dataRoot).digest('hex').slice(0, 8)}`;
  const files = [...namesBelow(daemon.dataRoot, 3), ...namesBelow(daemon.execRoot, 2)].filter((path) => !path.includes('/gantry.db'));
  const cgroups = namesIn('/sys/fs/cgroup').flatMap((controller) =>
    namesIn(`/sys/fs/cgroup/${controller}/${name}`).filter((child) => /^[0-9a-f]{64}$/.test(child)),
  );
  return [...files, ...cgroups, ...processes(daemon.execRoot)];
}

function namesBelow(directory: string, depth: number): readonly string[] {
  return namesIn(directory).flatMap((name) => [
    `${directory}/${name}`,
    ...(depth > 1 ? namesBelow(`${directory}/${name}`, depth - 1) : []),
  ]);
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

function processes(execRoot: string): readonly string[] {
  return namesIn('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`\0${execRoot}\0`);
    } catch {
      return false;
    }
  });
}

/** Monitors leave a moment after their container. */
async function assertNothingLeft(daemon: GantryDaemon, before: readonly string[]): Promise<void> {
  const changes = (): readonly string[] => {
    const now = traces(daemon);
    return [
      ...now.filter((each) => !before.includes(each)).map((each) => `left: ${each}`),
      ...before.filter((each) => !now.includes(each)).map((each) => `gone: ${each}`),
    ];
  };
  for (let attempt = 0; attempt < 60 && changes().length > 0; attempt++) await delay(50);
  assert.deepEqual(changes(), []);
  assert.equal((await call(daemon.host, 'GET', '/_ping')).status, 200);
}

/** Refused create requests: with the same status and text as the peer where `peer` is true, else by our own text. */
const refusedCreates: readonly { readonly body: unknown; readonly message: RegExp; readonly peer?: true }[] = [
  { body: null, message: /^config cannot be empty in order to create a container$/i, peer: true },
  { body: [], message: /must be an object, not a list/ },
  { body: 'text', message: /must be an object, not a string/ },
  { body: {}, message: /invalid reference format/ },
  ...Object.entries({
    Image: 1,
    Env: 'x',
    Cmd: 1,
    Entrypoint: { a: 1 },
    Labels: ['a'],
    Hostname: 5,
    User: [],
    Tty: 'yes',
    WorkingDir: 1,
    ExposedPorts: ['80'],
    Volumes: 1,
    StopTimeout: 'soon',
    HostConfig: 'x',
  }).map(([field, value]) => ({
    body: { Image: 'busybox', [field]: value },
    message: new RegExp(`^invalid request body: ${field} must be `),
  })),
  ...Object.entries({
    Memory: '1g',
    MemorySwap: 1.5,
    Binds: '/a:/b',
    CapAdd: 1,
    Devices: [1],
    Ulimits: { nofile: 1 },
    PidsLimit: '1',
    Privileged: 1,
    NetworkMode: 5,
    RestartPolicy: 'always',
    Tmpfs: [],
    Sysctls: ['a=b'],
    LogConfig: 1,
    Mounts: {},
    ConsoleSize: 'large',
  }).map(([field, value]) => ({
    body: { Image: 'busybox', HostConfig: { [field]: value } },
    message: new RegExp(`^invalid request body: HostConfig\\.${field}(\\.0)? must be `),
  })),
  { body: { Image: 'busybox', HostConfig: { Memory: -5 } }, message: /Minimum memory limit allowed is 6MB/, peer: true },
  { body: { Image: 'busybox', HostConfig: { NanoCpus: -1 } }, message: /Range of CPUs is from 0\.01 to/, peer: true },
  { body: { Image: 'busybox', HostConfig: { CpuPeriod: -1 } }, message: /CPU cfs period can not be less than 1ms/, peer: true },
  { body: { Image: 'busybox', HostConfig: { ShmSize: -1 } }, message: /SHM size can not be less than 0/, peer: true },
  { body: { Image: 'busybox', HostConfig: { OomScoreAdj: 5000 } }, message: /range for oom score adj is/, peer: true },
  { body: { Image: 'busybox', HostConfig: { CpusetCpus: '900' } }, message: /Requested CPUs are not available/, peer: true },
  { body: { Image: 'busybox', HostConfig: { Binds: ['/tmp:/'] } }, message: /destination can't be '\/'/, peer: true },
  { body: { Image: 'busybox', HostConfig: { Binds: ['/tmp:relative'] } }, message: /mount path must be absolute/, peer: true },
  { body: { Image: 'busybox', HostConfig: { Binds: ['/tmp:/m', '/etc:/m'] } }, message: /Duplicate mount point: \/m/, peer: true },
  { body: { Image: 'busybox', Env: ['=x'] }, message: /invalid environment variable: =x/, peer: true },
  { body: { Image: 'busybox', WorkingDir: 'rel' }, message: /needs to be an absolute path/, peer: true },
  // The peer takes these, and fails or misbehaves later.
  { body: { Image: 'busybox', HostConfig: { PidsLimit: -7 } }, message: /pids limit must be positive/ },
  { body: { Image: 'busybox', HostConfig: { MemorySwap: -7 } }, message: /memory swap must be positive/ },
  { body: { Image: 'busybox', HostConfig: { CpuShares: -1 } }, message: /CPU shares/ },
  { body: { Image: 'busybox', HostConfig: { Binds: ['/tmp/\0x:/m'] } }, message: /cannot hold a NUL byte/ },
  { body: { Image: 'busybox', HostConfig: { Binds: ['/tmp:/m\0x'] } }, message: /cannot hold a NUL byte/ },
  { body: { Image: 'busybox', Env: ['A=\0'] }, message: /NUL byte/ },
  { body: { Image: 'busybox', Cmd: ['a\0b'] }, message: /NUL byte/ },
  { body: { Image: 'busybox', WorkingDir: '/a\0b' }, message: /NUL byte/ },
  { body: { Image: 'busybox', User: 'a\0b' }, message: /NUL byte/ },
  { body: { Image: 'busybox', Hostname: 'a b/../..' }, message: /invalid hostname format/ },
  { body: { Image: '../../etc/passwd' }, message: /invalid reference format/ },
];

/** method, path, expected status; `peer` where the peer's status is the same. */
const refusedRequests: readonly (readonly [method: string, path: string, status: number, peer: 'same' | 'differs'])[] = [
  ['GET', '/nosuch', 404, 'same'],
  ['GET', '/v1.41/nosuch', 404, 'same'],
  ['GET', '/vX/info', 404, 'same'],
  ['GET', '/v9.99/info', 400, 'same'],
  ['GET', '/v0.1/info', 400, 'same'],
  ['PATCH', '/v1.41/info', 404, 'same'],
  ['DELETE', '/v1.41/info', 404, 'same'],
  ['GET', '/containers/nope/json', 404, 'same'],
  ['GET', '/containers/a%00b/json', 404, 'same'],
  ['GET', '/containers/%zz/json', 400, 'same'],
  ['POST', '/containers/nope/start', 404, 'same'],
  ['POST', '/containers/nope/kill?signal=FOO', 400, 'same'],
  ['POST', '/containers/create?name=../x', 400, 'differs'],
  ['POST', '/images/create?fromSrc=-&repo=UPPER', 400, 'same'],
  ['DELETE', '/images/nope', 404, 'same'],
  ['DELETE', '/containers/..%2f..%2fetc', 404, 'differs'],
  ['GET', '/containers/..%2fx/json', 404, 'differs'],
  ['GET', '/images/..%2f..%2fetc%2fpasswd/json', 400, 'differs'],
  ['GET', '/exec/..%2fx/json', 404, 'differs'],
  ['GET', '/containers/json?limit=x', 400, 'differs'],
  ['GET', '/containers/json?filters=%7B', 400, 'differs'],
  ['GET', '/containers/json?filters=%5B%5D', 400, 'differs'],
  ['GET', '/containers/json?filters=%7B%22__proto__%22%3A%5B%22x%22%5D%7D', 400, 'differs'],
];

suite('bad input', { skip }, () => {
  let daemon: GantryDaemon;
  let peer: Peer | null = null;
  let idle: readonly string[];
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
  const create = (host: string, body: unknown): Promise<Answer> => call(host, 'POST', '/v1.41/containers/create', JSON.stringify(body));

  before(async () => {
    [daemon, peer] = await Promise.all([startGantry(), peerMissing() === null ? startPeer() : null]);
    await loadBusybox(daemon.host, ...(peer === null ? [] : [peer.host]));
    // The first container makes what all share.
    assert.equal((await docker('run', '--rm', '--network', 'none', 'busybox', 'true')).status, 0);
    await delay(500);
    idle = traces(daemon);
  });
  after(async () => {
    await daemon?.dispose();
    await peer?.stop();
  });

  test('create requests of wrong types and values: 400 with the field or the reason', async () => {
    for (const { body, message } of refusedCreates) {
      const answer = await create(daemon.host, body);
      assert.equal(answer.status, 400, `${JSON.stringify(body)}: ${answer.body}`);
      assert.match(messageOf(answer), message, JSON.stringify(body));
    }
    await assertNothingLeft(daemon, idle);
  });

  test('refusals that Docker knows have its text and status', async (context) => {
    if (peer === null) return context.skip('needs the peer (apt-get install docker.io)');
    for (const { body } of refusedCreates.filter((each) => each.peer === true)) {
      const ours = await create(daemon.host, body);
      const theirs: Answer = await create(peer.host, body);
      // 20.10 says 500 for some of them; newer daemons and ours say 400.
      assert.ok(ours.status === theirs.status || theirs.status === 500, JSON.stringify(body));
      assert.equal(messageOf(ours).toLowerCase(), messageOf(theirs).toLowerCase(), JSON.stringify(body));
    }
    for (const [method, path, status] of refusedRequests.filter(([, , , same]) => same === 'same')) {
      assert.equal((await call(peer.host, method, path, method === 'POST' ? '' : undefined)).status, status, `the peer, ${method} ${path}`);
    }
    return undefined;
  });

  test('unknown routes, methods, versions, objects and parameters', async () => {
    for (const [method, path, status] of refusedRequests) {
      const answer = await call(daemon.host, method, path, path.includes('create?name') ? '{"Image":"busybox"}' : undefined);
      assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`);
      messageOf(answer);
    }
    await assertNothingLeft(daemon, idle);
  });

  test('malformed JSON, other types, other encodings', async () => {
    for (const text of ['{"Image":', '{"Image":"busybox"}}', '{Image:1}', '\u0000', '{"Image":"busybox",}']) {
      const answer = await call(daemon.host, 'POST', '/containers/create', text);
      assert.equal(answer.status, 400, text);
      assert.match(messageOf(answer), /invalid JSON in the request body/, text);
    }
    const latin = await call(daemon.host, 'POST', '/containers/create', Buffer.from([0x22, 0xff, 0x22]), {
      'content-type': 'application/json',
    });
    assert.match(messageOf(latin), /not UTF-8/);
    const plain = await call(daemon.host, 'POST', '/containers/create', '{"Image":"busybox"}', { 'content-type': 'text/plain' });
    assert.equal(plain.status, 400);
    assert.match(messageOf(plain), /must be 'application\/json'/);
    const deep = await call(daemon.host, 'POST', '/containers/create', `${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    assert.equal(deep.status, 400);
    await assertNothingLeft(daemon, idle);
  });

  test('a request with an Origin is refused', async () => {
    for (const path of ['/_ping', '/containers/json', '/nosuch']) {
      assert.equal((await call(daemon.host, 'GET', path, undefined, { origin: 'http://evil.example' })).status, 403, path);
    }
  });

  test('oversized bodies and headers', async () => {
    const big = await call(
      daemon.host,
      'POST',
      '/containers/create',
      JSON.stringify({ Image: 'busybox', User: 'x'.repeat(9 * 1024 * 1024) }),
    );
    assert.equal(big.status, 400);
    assert.match(messageOf(big), /larger than/);
    const header = await call(daemon.host, 'GET', '/_ping', undefined, { 'x-registry-auth': 'a'.repeat(2 * 1024 * 1024) }).catch(
      () => null,
    );
    if (header !== null) assert.equal(header.status, 431);
    await assertNothingLeft(daemon, idle);
  });

  test('half requests hold nobody up and leave with their client', async () => {
    const path = daemon.host.slice('unix://'.length);
    const sockets: Socket[] = [];
    const halves = [
      'GET /info HTT',
      'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"Im',
      'POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n200\r\nabc',
    ];
    for (let index = 0; index < 150; index++) {
      const socket = createConnection(path);
      socket.on('error', () => undefined);
      socket.write(halves[index % halves.length] ?? '');
      sockets.push(socket);
    }
    await delay(300);
    const started = Date.now();
    const run = await docker('run', '--rm', '--network', 'none', 'busybox', 'echo', 'alive');
    assert.equal(run.stdout, 'alive\n', run.stderr);
    assert.ok(Date.now() - started < 20_000);
    for (const socket of sockets) socket.destroy();
    await assertNothingLeft(daemon, idle);
  });

  test('broken HTTP is answered or cut', async () => {
    for (const text of [
      '\0\0\0\0\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n',
      'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      const answer = await new Promise<string>((resolve) => {
        let seen = '';
        const socket = createConnection(daemon.host.slice('unix://'.length), () => socket.write(text));
        socket.on('data', (chunk: Buffer) => {
          seen += chunk.toString('latin1');
        });
        socket.on('error', () => resolve(seen));
        socket.on('close', () => resolve(seen));
      });
      assert.match(answer, /^HTTP\/1\.1 400 /, JSON.stringify(text));
    }
    await assertNothingLeft(daemon, idle);
  });

  /** script for the CLI, exit status, text. */
  const lines: readonly (readonly [name: string, args: readonly string[], status: number, stderr: RegExp])[] = [
    ['unknown image', ['run', '--rm', '--pull', 'never', 'no-such:1', 'true'], 125, /No such image: no-such:1/],
    ['entrypoint missing', ['run', '--rm', '--entrypoint', '/no/such', 'busybox'], 127, /no such file or directory/],
    ['command missing', ['run', '--rm', 'busybox', 'nosuch'], 127, /executable file not found in \$PATH/],
    ['entrypoint not executable', ['run', '--rm', '--entrypoint', '/etc/passwd', 'busybox'], 126, /permission denied/],
    ['entrypoint a directory', ['run', '--rm', '--entrypoint', '/etc', 'busybox'], 126, /is a directory|permission denied/],
    ['entrypoint a script for nothing', ['run', '--rm', '-w', '/proc/1/cwd/x', 'busybox', 'true'], 125, /proc/],
    [
      'bind source missing, --mount',
      ['run', '--rm', '--mount', 'type=bind,source=/no/such/place,target=/m', 'busybox'],
      125,
      /bind source path does not exist: \/no\/such\/place/,
    ],
    ['unknown user', ['run', '--rm', '-u', 'nobodyhere', 'busybox', 'true'], 125, /unable to find user nobodyhere/],
    ['bad name', ['run', '--rm', '--name', '../x', 'busybox'], 125, /Invalid container name \(\.\.\/x\)/],
    ['unknown capability', ['run', '--rm', '--cap-add', 'SYS_FLY', 'busybox', 'true'], 125, /SYS_FLY/],
    // 127: the CLI takes every start error with these words for a missing program, Docker's too.
    ['unknown device', ['run', '--rm', '--device', '/dev/nosuch', 'busybox', 'true'], 127, /\/dev\/nosuch/],
    ['unknown sysctl', ['run', '--rm', '--sysctl', 'kernel.nosuch=1', 'busybox', 'true'], 125, /kernel\.nosuch/],
    ['host sysctl', ['run', '--rm', '--sysctl', 'kernel.panic=1', 'busybox', 'true'], 125, /kernel\.panic/],
    ['unknown network', ['run', '--rm', '--network', 'container:nope', 'busybox', 'true'], 125, /No such container: nope/],
  ];
  for (const [name, args, status, stderr] of lines) {
    test(`${name}: exit status ${status}, nothing left`, async () => {
      const withNetwork = args[0] === 'run' && !args.includes('--network') ? ['run', '--network', 'none', ...args.slice(1)] : args;
      const result = await docker(...withNetwork);
      assert.equal(result.status, status, result.stderr);
      assert.match(result.stderr, stderr);
      await assertNothingLeft(daemon, idle);
    });
  }

  test('a name that is taken: 409, and the first keeps it', async () => {
    const first = await docker('create', '--name', 'taken', 'busybox');
    const second = await call(daemon.host, 'POST', '/containers/create?name=taken', '{"Image":"busybox"}');
    assert.equal(second.status, 409);
    assert.match(messageOf(second), /^Conflict\. The container name "\/taken" is already in use by container "/);
    assert.equal((await docker('inspect', '-f', '{{.Id}}', 'taken')).stdout, first.stdout);
    await docker('rm', 'taken');
    await assertNothingLeft(daemon, idle);
  });

  test('-v makes a missing source, also when the name has two dots in it', async () => {
    const place = `${daemon.directory}/made/../made2/deep`;
    const { status, stderr } = await docker('run', '--rm', '--network', 'none', '-v', `${place}:/a/../m`, 'busybox', 'touch', '/m/x');
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(`${daemon.directory}/made2/deep/x`));
    await assertNothingLeft(daemon, idle);
  });

  test('labels, filters and environment named after members of Object', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const body = `{"Image":"busybox","Labels":{${names.map((name) => `"${name}":"v-${name}"`).join()}},"__proto__":{"Cmd":["no"]},"constructor":1}`;
    const made = await call(daemon.host, 'POST', '/containers/create?name=proto', body);
    assert.equal(made.status, 201, made.body);
    const inspected = await call(daemon.host, 'GET', '/containers/proto/json');
    for (const name of names) assert.ok(inspected.body.includes(`"${name}":"v-${name}"`), name);
    assert.ok(inspected.body.includes('"Cmd":["sh"]'));
    for (const name of names) {
      const found = await docker('ps', '-aq', '--filter', `label=${name}=v-${name}`);
      assert.match(found.stdout, /^[0-9a-f]{12}\n$/, name);
    }
    await docker('rm', 'proto');
    await assertNothingLeft(daemon, idle);
  });

  test('damaged and hostile archives to load', async () => {
    const good = readFileSync((await busyboxArchive()) as string);
    // The layer itself is there already: what the archive brings in its place must be looked at all the same.
    const flipped = Buffer.from(good);
    const place = good.length - 300_000;
    flipped[place] = (flipped[place] ?? 0) ^ 0xff;
    const manifest = (value: unknown, ...more: TarEntry[]) => tar([{ name: 'manifest.json', data: JSON.stringify(value) }, ...more]);
    const config = {
      name: 'c.json',
      data: `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:${'a'.repeat(64)}"]}}`,
    };
    const archives: Readonly<Record<string, Uint8Array>> = {
      empty: new Uint8Array(),
      noise: Buffer.from('not an archive at all'),
      'cut in a layer': good.subarray(0, good.length >> 1),
      'cut in gzip': gzipSync(good).subarray(0, 200_000),
      'a flipped byte in a known layer': flipped,
      'no manifest': tar([{ name: 'x', data: 'y' }]),
      'manifest null': manifest(null),
      'manifest of numbers': manifest([1, 2]),
      'config outside': manifest([{ Config: '../../../etc/passwd', RepoTags: ['evil:1'], Layers: [] }]),
      'layer outside': manifest([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: ['/etc/passwd'] }], config),
      'config as link to the host': manifest([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: [] }], {
        name: 'c.json',
        type: '2',
        link: '/etc/passwd',
      }),
      'layer as link to the host': manifest([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: ['l.tar'] }], config, {
        name: 'l.tar',
        type: '2',
        link: '../../../../etc/shadow',
      }),
      'a layer of another digest': manifest([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: ['l.tar'] }], config, {
        name: 'l.tar',
        data: 'x'.repeat(1024),
      }),
      'a bad tag': manifest([{ Config: 'c.json', RepoTags: ['../../x:1'], Layers: ['l.tar'] }], config, { name: 'l.tar', data: '' }),
    };
    for (const [name, bytes] of Object.entries(archives)) {
      const answer = await call(daemon.host, 'POST', '/images/load?quiet=1', bytes, { 'content-type': 'application/x-tar' });
      assert.ok(answer.status === 400 || /"errorDetail"/.test(answer.body), `${name}: ${answer.status} ${answer.body}`);
      assert.ok(!/root:|shadow:/.test(answer.body), name);
      assert.doesNotMatch(answer.body, /internal|TypeError|undefined/, name);
      await assertNothingLeft(daemon, idle);
    }
  });

  test('damaged and hostile archives to import: refused, or contained', async () => {
    const canary = `${daemon.directory}/canary`;
    writeFileSync(canary, 'untouched');
    const up = `${'../'.repeat(30)}${canary.slice(1)}`;
    const refusedOrContained: Readonly<Record<string, Uint8Array>> = {
      noise: Buffer.from('garbage'),
      'two dots': tar([{ name: up, data: 'overwritten' }]),
      absolute: tar([{ name: canary, data: 'overwritten' }]),
      'through a link': tar([
        { name: 'l', type: '2', link: daemon.directory },
        { name: 'l/canary', data: 'overwritten' },
      ]),
      'hard link to the host': tar([
        { name: 'h', type: '1', link: canary },
        { name: 'h', data: 'overwritten' },
      ]),
      'the root as a link': tar([
        { name: './', type: '2', link: daemon.directory },
        { name: 'canary', data: 'overwritten' },
      ]),
      'a size beyond the end': tar([{ name: 'x', data: 'y', size: 0o77777777777 }]),
      'a negative size': tar([{ name: 'x', data: 'y', size: -1 }]),
      'NUL in a long name': tar([
        { name: '././@LongLink', type: 'L', data: 'a\0/../../etc/x\0' },
        { name: 'a', data: 'y' },
      ]),
    };
    for (const [name, bytes] of Object.entries(refusedOrContained)) {
      const answer = await call(daemon.host, 'POST', '/images/create?fromSrc=-&repo=hostile', bytes, {
        'content-type': 'application/x-tar',
      });
      assert.ok(answer.status === 200 || answer.status === 400, `${name}: ${answer.status} ${answer.body}`);
      assert.doesNotMatch(answer.body, /internal|TypeError/, name);
      assert.equal(readFileSync(canary, 'utf8'), 'untouched', name);
      if (!/"errorDetail"|"message"/.test(answer.body)) await docker('rmi', '-f', 'hostile');
      await assertNothingLeft(daemon, idle);
    }
    rmSync(canary);
  });

  test('at the end: no container, one image, no error of ours in the log', async () => {
    assert.equal((await docker('ps', '-aq')).stdout, '');
    assert.equal((await docker('images', '-aq')).stdout.split('\n').filter(Boolean).length, 1);
    assert.doesNotMatch(daemon.log(), /TypeError|RangeError|Unhandled|internal/);
  });
});

suite('a full disk', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);

  before(async () => {
    const mount = 'mkdir -p $DATA_ROOT && mount -t tmpfs -o size=16m,mode=711 tmpfs $DATA_ROOT && exec "$@"';
    daemon = await startGantry({ wrapper: ['unshare', '-m', '/bin/sh', '-c', mount, 'sh'] });
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  /** The daemon's own view: its data root is mounted in its namespace only. */
  const listing = async (): Promise<string> =>
    (await shell(`cd /proc/${daemon.pid}/root/${daemon.dataRoot} && find . -mindepth 1 ! -name 'gantry.db*' | sort`)).stdout;

  test('an import that does not fit says so and leaves nothing', async () => {
    const before = await listing();
    const { status, stdout, stderr } = await shell(
      `d=$(mktemp -d); head -c 40000000 /dev/urandom >$d/big; tar -C $d -c . | docker -H ${daemon.host} import - big; s=$?; rm -r $d; exit $s`,
    );
    assert.notEqual(status, 0, stdout);
    assert.match(stderr, /no space left on device/i);
    assert.equal(await listing(), before);
  });

  test('create, run and a writing container on a full disk fail by name; removing makes room', async () => {
    const before = await listing();
    const filler = await docker('run', '--name', 'filler', '--network', 'none', 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/fill bs=64k');
    assert.notEqual(filler.status, 0);
    assert.match(filler.stderr, /No space left on device/);
    const run = await docker('run', '--rm', '--network', 'none', 'busybox', 'echo', 'hello');
    if (run.status !== 0) assert.match(run.stderr, /no space left on device|disk is full/i);
    assert.equal((await docker('ps', '-a', '--format', '{{.Names}}')).stdout, 'filler\n');
    assert.equal((await docker('rm', 'filler')).status, 0);
    assert.equal((await docker('run', '--rm', '--network', 'none', 'busybox', 'echo', 'hello')).stdout, 'hello\n');
    assert.equal(await listing(), before);
  });
});

interface TarEntry {
  readonly name: string;
  readonly data?: string;
  /** `0` file, `1` hard link, `2` symbolic link, `5` directory, `L` GNU long name. */
  readonly type?: string;
  readonly link?: string;
  /** What the header claims, instead of the truth. */
  readonly size?: number;
}

/** Tars that no honest writer makes. */
function tar(entries: readonly TarEntry[]): Uint8Array {
  const blocks = entries.flatMap(({ name, data = '', type = '0', link = '', size }) => {
    const header = Buffer.alloc(512);
    header.write(name.slice(0, 100), 0, 'latin1');
    header.write('0000777\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(size === undefined || size >= 0 ? `${(size ?? data.length).toString(8).padStart(11, '0')}\0` : '-0000000001\0', 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write(type, 156);
    header.write(link.slice(0, 100), 157, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, Buffer.from(data, 'latin1'), Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
