/**
 * Builds that cannot be: each is refused with words that say what and where, and leaves no image, no process, no mount and no directory; the cache is as it was. `dispose` of the daemon looks with
 * `system fsck`. Needs root and busybox-static.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';
import { build, type ContextFiles, tarOf } from './built-images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

interface BadBuild {
  readonly name: string;
  /** `PORT` is that of a server that has `/file`. */
  readonly dockerfile?: string;
  readonly files?: ContextFiles;
  readonly body?: (tar: Buffer) => Uint8Array;
  readonly query?: Readonly<Record<string, string>>;
  readonly message: RegExp;
  /** Before the first line: an HTTP error. */
  readonly status?: number;
  readonly exitCode?: number;
}

const busybox = (line: string) => `FROM busybox\n${line}\n`;

const badBuilds: readonly BadBuild[] = [
  { name: 'unknown instruction', dockerfile: busybox('RUNN true'), message: /line 2: unknown instruction: RUNN .*RUN\b/, status: 400 },
  { name: 'unknown flag', dockerfile: busybox('COPY --chwon=1 f /'), message: /line 2: unknown flag: --chwon.*--chown/s, status: 400 },
  { name: 'two problems at once', dockerfile: busybox('BOGUS\nENV A'), message: /BOGUS[\s\S]*ENV must have two arguments/, status: 400 },
  { name: 'stage of a number that is none', dockerfile: busybox('COPY --from=9 f /'), message: /invalid stage index 9/, status: 400 },
  {
    name: 'SEC-18: a stage that copies from itself',
    dockerfile: 'FROM busybox AS a\nCOPY --from=a /x /\n',
    message: /circular dependency/,
    status: 400,
  },
  { name: 'COPY of something missing', dockerfile: busybox('COPY nope /'), message: /"\/nope": not found/ },
  { name: 'COPY from outside', dockerfile: busybox('COPY ../../etc/shadow /'), message: /"\/etc\/shadow": not found/ },
  {
    name: 'COPY through a link that leads out',
    dockerfile: busybox('COPY out /'),
    message: /not found/,
    files: { out: { type: 'symbolic-link', linkTarget: '/../../etc/shadow' } },
  },
  {
    name: 'COPY of several to a file',
    dockerfile: busybox('COPY f Dockerfile /x'),
    message: /must be a directory and end with a \//,
    status: 400,
  },
  { name: 'COPY of a file over a directory', dockerfile: busybox('COPY d/x /'), files: { 'd/x/bin': 'x' }, message: /bin/ },
  {
    name: 'ADD with another checksum',
    dockerfile: busybox(`ADD --checksum=sha256:${'0'.repeat(64)} http://127.0.0.1:PORT/file /`),
    message: /checksum|digest/,
  },
  { name: 'ADD of an address that answers 404', dockerfile: busybox('ADD http://127.0.0.1:PORT/none /'), message: /404/ },
  { name: 'secret that was not given', dockerfile: busybox('RUN --mount=type=secret,id=x,required true'), message: /secret x: not found/ },
  { name: 'command fails', dockerfile: busybox('RUN exit 42'), message: /returned a non-zero code: 42/, exitCode: 42 },
  { name: 'command killed', dockerfile: busybox("RUN sh -c 'kill -9 $$'; exit $?"), message: /non-zero code: 137/, exitCode: 137 },
  { name: 'user that is none', dockerfile: busybox('USER nobodyhere\nRUN true'), message: /nobodyhere/ },
  { name: 'program that is none', dockerfile: busybox('RUN ["nothere"]'), message: /nothere.*not found/s, exitCode: 127 },
  { name: 'host network that nobody allowed', dockerfile: busybox('RUN --network=host true'), message: /network\.host/ },
  { name: 'insecure step that nobody allowed', dockerfile: busybox('RUN --security=insecure true'), message: /security\.insecure/ },
  { name: 'network that is none', dockerfile: busybox('RUN true'), query: { networkmode: 'nosuchnet' }, message: /nosuchnet/ },
  {
    name: 'target that is none',
    dockerfile: busybox(''),
    query: { target: 'none' },
    message: /target stage "none" could not be found/,
    status: 400,
  },
  { name: 'base image that cannot be had', dockerfile: 'FROM 127.0.0.1:1/nothing:1\n', message: /127\.0\.0\.1:1/ },
  { name: 'no Dockerfile', message: /Cannot locate specified Dockerfile: Dockerfile/, status: 400 },
  { name: 'empty Dockerfile', dockerfile: '', message: /the Dockerfile cannot be empty/, status: 400 },
  { name: 'Dockerfile that is no text', dockerfile: 'FROM\0scratch', message: /NUL/, status: 400 },
  { name: '.dockerignore that cannot be read', dockerfile: busybox(''), files: { '.dockerignore': '[\n' }, message: /\[/, status: 400 },
  {
    name: 'context that is no archive',
    body: () => Buffer.from('this is no archive, but long enough to be one'.repeat(40)),
    message: /tar archive|header/,
    status: 400,
  },
  { name: 'archive that is cut', dockerfile: busybox(''), body: (tar) => tar.subarray(0, 700), message: /damaged/, status: 400 },
  {
    name: 'compressed archive that is cut',
    dockerfile: busybox(''),
    body: (tar) => gzipSync(tar).subarray(0, 60),
    message: /unexpected end|damaged/,
    status: 400,
  },
  { name: 'archive that leads out', dockerfile: busybox(''), files: { '../out': 'x' }, message: /leads out/, status: 400 },
];

suite('builds that cannot be', { skip }, () => {
  let daemon: GantryDaemon;
  let server: Server;

  before(async () => {
    server = createServer((request, response) => {
      response.statusCode = request.url === '/file' ? 200 : 404;
      response.end('content');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(async () => {
    server?.close();
    await daemon?.dispose();
  });

  const images = async () => (await runCommand(['docker', '-H', daemon.host, 'images', '-aq', '--no-trunc'])).stdout;

  test('each is told, and leaves nothing', { timeout: 120_000 }, async (context) => {
    const port = String((server.address() as AddressInfo).port);
    const good = await tarOf({ f: 'F\n', Dockerfile: busybox('RUN echo made > /made\nCOPY f /f') });
    const first = await build(daemon.host, good);
    const before = await images();
    const run = async ({ name, dockerfile, files = {}, body, query = {}, message, status = 200, exitCode }: BadBuild) => {
      const file = dockerfile === undefined ? {} : { Dockerfile: dockerfile.replace('PORT', port) };
      const tar = await tarOf({ f: 'F\n', ...file, ...files });
      const answer = await build(daemon.host, body?.(tar) ?? tar, { t: 'never:1', ...query });
      await context.test(name, () => {
        assert.match(answer.error ?? 'it was built', message);
        assert.deepEqual([answer.status, answer.exitCode], [status, exitCode ?? null], answer.error ?? '');
      });
    };
    for (let at = 0; at < badBuilds.length; at += 4) await Promise.all(badBuilds.slice(at, at + 4).map(run));
    assert.equal(await images(), before, 'no image is made');
    const again = await build(daemon.host, good);
    assert.deepEqual([again.imageId, again.output.split('Using cache').length - 1], [first.imageId, 2], 'the cache is as it was');
  });

  test('a client that leaves ends its build', async () => {
    const tar = await tarOf({ Dockerfile: busybox('RUN echo begun; exec sleep 98765') });
    const socketPath = daemon.host.replace('unix://', '');
    const asked = request({ socketPath, method: 'POST', path: '/build', agent: false });
    asked.on('error', () => undefined);
    asked.end(tar);
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    for await (const chunk of response) if (String(chunk).includes('begun')) break;
    asked.destroy();
    const runs = async () => (await runCommand(['pgrep', '-fx', 'sleep 98765'])).stdout;
    for (let attempt = 0; attempt < 100 && (await runs()) !== ''; attempt++) await delay(50);
    assert.equal(await runs(), '');
  });

  test('nothing stays on the disk', async () => {
    const left = () =>
      ['tmp', 'steps', 'contexts'].flatMap((name) =>
        listOrEmpty(join(daemon.dataRoot, 'build', name)).filter((entry) => entry !== 'empty'),
      );
    for (let attempt = 0; attempt < 100 && left().length > 0; attempt++) await delay(50);
    assert.deepEqual(left(), []);
  });
});
