/**
 * Bad input as a person meets it, by `gantry build` and by the docker command line: a message that says where, an exit status that is not 0, no image, nothing left behind, and the
 * cache as it was. What single parameters of the API answer is in bad-builds.test.ts. Needs root and busybox-static.
 */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const good = 'FROM busybox\nRUN echo made >/made\nCOPY f /f\n';

interface BadInput {
  readonly name: string;
  /** `PORT` is that of a server that answers `content` to everything. */
  readonly dockerfile: string;
  readonly args?: readonly string[];
  readonly message: RegExp;
  /** Of the lines that the excerpt marks; null: it is no line's fault. */
  readonly place: string | null;
  /** By `docker build` too; a number: its exit status. */
  readonly docker?: number;
}

const badInputs: readonly BadInput[] = [
  {
    name: 'unknown instruction',
    dockerfile: 'FROM busybox\nCOPPY f /\n',
    message: /unknown instruction: COPPY \(did you mean COPY\?\)/,
    place: '2',
    docker: 1,
  },
  { name: 'bad flag', dockerfile: 'FROM busybox\nCOPY --chwon=1 f /\n', message: /unknown flag: --chwon/, place: '2', docker: 1 },
  {
    name: 'stage that comes later',
    dockerfile: 'FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n',
    message: /cannot copy from stage "b", it needs to be defined before/,
    place: '2',
    docker: 1,
  },
  {
    name: 'stage that uses itself',
    dockerfile: 'FROM busybox AS a\nCOPY --from=a /x /\n',
    message: /circular dependency/,
    place: '2',
    docker: 1,
  },
  {
    name: 'target that is none',
    dockerfile: good,
    args: ['--target', 'nome'],
    message: /target stage "nome" could not be found/,
    place: null,
    docker: 1,
  },
  {
    name: 'COPY of something missing',
    dockerfile: 'FROM busybox\nCOPY f nope /x/\n',
    message: /"\/nope": not found/,
    place: '2',
    docker: 1,
  },
  {
    name: 'COPY from outside',
    dockerfile: 'FROM busybox\nCOPY ../../../../etc/hostname /\n',
    message: /"\/etc\/hostname": not found/,
    place: '2',
    docker: 1,
  },
  {
    name: 'ADD with another checksum',
    dockerfile: `FROM busybox\nADD --checksum=sha256:${'0'.repeat(64)} http://127.0.0.1:PORT/f /\n`,
    message: /checksum|digest/,
    place: '2',
  },
  {
    name: 'secret that was not given',
    dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=key,required cat /run/secrets/key\n',
    message: /secret key: not found/,
    place: '2',
    docker: 1,
  },
  {
    name: 'command killed',
    dockerfile: 'FROM busybox\nRUN echo before; sh -c "kill -9 \\$\\$"; exit $?\n',
    message: /before[\s\S]*137/,
    place: '2',
    docker: 137,
  },
  {
    name: 'command out of memory',
    dockerfile: 'FROM busybox\nRUN x=$(head -c 200m /dev/zero | tr "\\0" x); echo ${#x}\n',
    args: ['-m', '24m'],
    message: /137|out of memory/i,
    place: '2',
    docker: 137,
  },
  {
    name: 'disk full',
    dockerfile: 'FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=300\n',
    message: /no space left on device/i,
    place: '2',
    docker: 1,
  },
];

suite('bad input of builds', { skip }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'gantry-bad-input-'));
  let daemon: GantryDaemon;
  let server: Server;

  before(async () => {
    server = createServer((_, response) => response.end('content'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    // Small enough to be filled; the mount is in the daemon's own namespace and ends with it.
    const mount = 'mkdir -p "$DATA_ROOT" && mount -t tmpfs -o size=96m gantry-test "$DATA_ROOT" && exec "$@"';
    daemon = await startGantry({ wrapper: ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', mount, 'sh'] });
    await loadBusybox(daemon.host);
    folder('good', { Dockerfile: good });
  });
  after(async () => {
    server?.close();
    await daemon?.dispose();
    rmSync(scratch, { recursive: true, force: true });
  });

  const folder = (name: string, files: Readonly<Record<string, string>>) => {
    for (const [path, text] of Object.entries({ f: 'F\n', ...files })) {
      mkdirSync(dirname(join(scratch, name, path)), { recursive: true });
      writeFileSync(join(scratch, name, path), text);
    }
    return join(scratch, name);
  };
  const words = (...args: readonly string[]) => [process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args];
  const run = ([file = '', ...args]: readonly string[]) =>
    runCommand([file, ...args], { cwd: scratch, env: { ...process.env, DOCKER_BUILDKIT: '0' } });
  const gantry = (...args: readonly string[]) => run(words(...args));
  const docker = (...args: readonly string[]) => run(['docker', '-H', daemon.host, ...args]);
  const images = async () => (await docker('images', '-aq', '--no-trunc')).stdout;

  test('each is told with its place, leaves no image, and the cache as it was', { timeout: 120_000 }, async (context) => {
    const first = await gantry('build', '-q', 'good');
    assert.equal(first.status, 0, first.stderr);
    const before = await images();
    const port = String((server.address() as AddressInfo).port);
    const look = async ({ name, dockerfile, args = [], message, place, docker: dockerStatus }: BadInput) => {
      const directory = folder(name.replaceAll(' ', '-'), { Dockerfile: dockerfile.replace('PORT', port) });
      const byGantry = await gantry('build', '-t', 'never:1', '--iidfile', `${directory}.id`, ...args, directory);
      const byDocker = dockerStatus === undefined ? null : await docker('build', '-t', 'never:1', ...args, directory);
      await context.test(name, () => {
        assert.equal(byGantry.status, 1, byGantry.stderr);
        assert.match(byGantry.stderr, message);
        if (place !== null) assert.match(byGantry.stderr, new RegExp(`Dockerfile:${place}\\n-+\\n[\\s\\S]*^ +${place} \\| >>> `, 'm'));
        assert.throws(() => readFileSync(`${directory}.id`), /ENOENT/);
        if (byDocker === null) return;
        const told = byDocker.stdout + byDocker.stderr;
        assert.equal(byDocker.status, dockerStatus, told);
        assert.match(told, message);
        if (place !== null) assert.match(told, new RegExp(`Dockerfile:${place}\\b|line ${place}\\b`));
      });
    };
    const alone = badInputs.filter(({ name }) => name === 'disk full');
    const others = badInputs.filter((input) => !alone.includes(input));
    for (let at = 0; at < others.length; at += 4) await Promise.all(others.slice(at, at + 4).map(look));
    for (const input of alone) await look(input);
    assert.equal(await images(), before, 'no image is made');
    const again = await gantry('build', '--progress', 'plain', '--iidfile', 'again', 'good');
    assert.equal(again.status, 0, again.stderr);
    assert.deepEqual(
      [readFileSync(join(scratch, 'again'), 'utf8'), again.stderr.split(/^#\d+ CACHED$/m).length - 1],
      [first.stdout.trim(), 3],
    );
  });

  test('a file of the context that the client may not read, and a folder', async () => {
    const before = await images();
    const directory = folder('locked', { Dockerfile: 'FROM busybox\nCOPY . /\n', 'dir/closed': 'x' });
    chownSync(join(directory, 'dir/closed'), 1000, 1000);
    chmodSync(join(directory, 'dir/closed'), 0);
    // Root without its privilege over files.
    const limited = ['setpriv', '--bounding-set', '-dac_override,-dac_read_search'];
    for (const path of ['dir/closed', 'dir']) {
      const { status, stderr } = await run([...limited, ...words('build', '-t', 'never:1', directory)]);
      assert.equal(status, 1, stderr);
      assert.match(stderr, new RegExp(`${path}\\b.*: permission denied`, 'i'), stderr);
      chownSync(join(directory, 'dir'), 1000, 1000);
      chmodSync(join(directory, 'dir'), 0);
    }
    assert.equal(await images(), before);
  });

  test('nothing is left running or on the disk', async () => {
    const root = `/proc/${daemon.pid}/root${daemon.dataRoot}/build`;
    const left = () => ['tmp', 'steps'].flatMap((name) => listOrEmpty(join(root, name)).filter((entry) => entry !== 'empty'));
    for (let attempt = 0; attempt < 100 && left().length > 0; attempt++) await delay(50);
    assert.deepEqual(left(), []);
    const mounts = readFileSync(`/proc/${daemon.pid}/mountinfo`, 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${daemon.dataRoot}/build`));
    assert.deepEqual(mounts, []);
    assert.equal((await docker('ps', '-aq')).stdout, '');
  });
});
