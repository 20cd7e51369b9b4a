/**
 * Devices against who means ill, or is sloppy: images that lead the driver's files elsewhere, requests of absurd size, descriptions that are bombs or change under way. What is refused is
 * refused with a reason, nothing outside changes, and the daemon answers all the time. On a fake machine with two GPUs. Needs root, the docker client, busybox-static and ldconfig.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type FakeDriver, makeFakeDriver } from '../harness/fake-driver.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const libraries = process.arch === 'arm64' ? '/usr/lib/aarch64-linux-gnu' : '/usr/lib/x86_64-linux-gnu';

/** For who asks meanwhile, also where two processors are shared by many. */
const longestPingMs = 5000;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

suite('attacks by way of devices', { skip, timeout: 300_000 }, () => {
  let directory: string;
  let driver: FakeDriver;
  let daemon: GantryDaemon;
  const cdi = () => join(directory, 'cdi');
  const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-attacks-'));
    driver = makeFakeDriver(join(directory, 'machine'), { gpus: 2 });
    mkdirSync(cdi());
    const { root } = driver;
    daemon = await startGantry({ flags: ['--device-root', root, '--driver-root', root, '--cdi-spec-dir', cdi()] });
    assert.equal((await docker('pull', '-q', 'busybox')).status, 0);
  });

  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  function call(method: string, path: string, body?: unknown): Promise<Answer> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const sent = request({ socketPath: daemon.host.slice('unix://'.length), method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), ms: performance.now() - started }),
        );
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** The longest that an answer took while `work` went on. */
  async function slowestPing(work: () => Promise<unknown>): Promise<number> {
    let slowest = 0;
    let isOver = false;
    const done = work().finally(() => {
      isOver = true;
    });
    // Told below.
    done.catch(() => {});
    while (!isOver) {
      const { status, ms } = await call('GET', '/_ping');
      assert.equal(status, 200);
      slowest = Math.max(slowest, ms);
      await delay(5);
    }
    await done;
    return slowest;
  }

  const create = async (hostConfig: object, ...cmd: readonly string[]): Promise<string> => {
    const made = await call('POST', '/v1.43/containers/create', {
      Image: 'busybox',
      Cmd: cmd.length === 0 ? ['true'] : cmd,
      HostConfig: { NetworkMode: 'none', ...hostConfig },
    });
    assert.equal(made.status, 201, made.text);
    return (JSON.parse(made.text) as { readonly Id: string }).Id;
  };
  const remove = (id: string) => call('DELETE', `/v1.43/containers/${id}?force=1`);
  const startOnce = async (requests: unknown): Promise<Answer> => {
    const id = await create({ DeviceRequests: requests });
    const started = await call('POST', `/v1.43/containers/${id}/start`);
    await remove(id);
    return started;
  };
  const gpus = (given: object) => [{ Driver: '', Count: 0, DeviceIDs: null, Capabilities: [['gpu']], Options: null, ...given }];
  const named = (...names: readonly string[]) => gpus({ Driver: 'cdi', DeviceIDs: names, Capabilities: [['cdi']] });

  /** Busybox, what `make` puts over it, and variables. */
  async function imageOf(name: string, make: (root: string) => void, ...variables: readonly string[]): Promise<void> {
    const root = join(directory, name);
    for (const path of ['bin', 'lib64']) mkdirSync(join(root, path), { recursive: true });
    execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
    for (const applet of ['sh', 'ls', 'cat', 'env', 'readlink']) symlinkSync('busybox', join(root, 'bin', applet));
    // As glibc's, so that there is a cache to be made.
    writeFileSync(join(root, 'lib64/ld-linux-x86-64.so.2'), '');
    make(root);
    execFileSync('tar', ['-C', root, '-cf', `${root}.tar`, '.']);
    const changes = variables.flatMap((variable) => ['--change', `ENV ${variable}`]);
    const { status, stderr } = await docker('import', ...changes, `${root}.tar`, name);
    assert.equal(status, 0, stderr);
  }

  test('SEC-12: an image whose links lead the driver elsewhere gets it inside, or is refused; its variables reach nobody else and give it nothing', async () => {
    const outside = join(directory, 'outside');
    mkdirSync(outside);
    const put = (root: string, path: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), '');
    };
    const link = (root: string, path: string, target: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      symlinkSync(target, join(root, path));
    };
    const fifo = (root: string, path: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      execFileSync('mkfifo', [join(root, path)]);
    };
    const cuda = `${libraries}/libcuda.so.${driver.driverVersion}`;
    const compat = '/usr/local/cuda/compat';
    const images: readonly (readonly [make: (root: string) => void, expected: RegExp])[] = [
      [(root) => link(root, 'usr/lib', `../../../../../..${outside}`), /^nvidia[01]\n/],
      [(root) => link(root, cuda, `${outside}/made`), /^nvidia[01]\n/],
      [(root) => link(root, libraries, '/dev/shm'), /^nvidia[01]\n/],
      [(root) => link(root, 'usr', '/proc/1/root/usr'), /cannot mount on .*: a link there leads to "\/proc\/1\/root/],
      [(root) => link(root, cuda, '/proc/self/mem'), /cannot mount on .*: a link there leads to "\/proc\/self\/mem"/],
      [(root) => link(root, libraries, '/sys/fs/cgroup'), /cannot mount on .*: a link there leads to "\/sys/],
      [(root) => link(root, 'usr/lib', '/usr/lib'), /too many levels of symbolic links/],
      [(root) => put(root, `${cuda}/a`), /cannot mount a file on .*: it is a directory there/],
      [(root) => put(root, 'etc'), /^nvidia[01]\n/],
      [
        (root) => {
          fifo(root, 'etc/ld.so.cache');
          link(root, 'etc/ld.so.conf.d', outside);
          fifo(root, `${compat}/libcuda.so.999.1`);
          link(root, `${compat}/libcuda.so.1`, 'libcuda.so.999.1');
        },
        /^nvidia[01]\n$/,
      ],
      [
        (root) => {
          link(root, 'dev', outside);
          put(root, `${compat}-9/libcuda.so.999.1`);
          link(root, `${compat}-9/libcuda.so.1`, 'libcuda.so.999.1');
          link(root, compat, 'compat-9');
        },
        new RegExp(`^nvidia[01]\\n${compat}\\n${libraries}\\n$`),
      ],
    ];
    const variables = [
      'NVIDIA_VISIBLE_DEVICES=all',
      `LD_PRELOAD=${outside}/evil.so`,
      `NODE_OPTIONS=--require=${outside}/evil.js`,
      'PATH=/bin',
    ];
    for (const [index, [make, expected]] of images.entries()) {
      const name = `hostile:${index}`;
      await imageOf(name, make, ...variables);
      const script = 'ls /dev | grep "nvidia[0-9]"; cat /etc/ld.so.conf.d/00* 2>/dev/null';
      const answer = await docker('run', '--rm', '--network', 'none', '--gpus', '1', name, 'sh', '-c', script);
      assert.match(answer.stdout + answer.stderr, expected, name);
      assert.doesNotMatch((await docker('run', '--rm', '--network', 'none', name, 'ls', '/dev')).stdout, /nvidia/, name);
    }
    assert.deepEqual(readdirSync(outside), []);
    const params = await docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--gpus',
      '1',
      '-v',
      `${outside}:/proc/driver/nvidia/params`,
      'busybox',
      'true',
    );
    assert.match(params.stderr, /inside \/proc/);
    assert.notEqual(params.status, 0);
  });

  test('requests of absurd size or form are refused with a short reason, and nobody waits', async () => {
    const many = (text: string) => Array.from({ length: 10_000 }, (_, index) => `${text}${index}`);
    const refused: readonly (readonly [unknown, RegExp])[] = [
      [gpus({ DeviceIDs: many('GPU-') }), /name 10002 devices, capabilities and options: at most 4096/],
      [named(...many('nvidia.com/gpu=')), /name 10002 devices/],
      [gpus({ Count: 1, Capabilities: many('c').map((capability) => [capability]) }), /at most 4096/],
      [many('').flatMap(() => gpus({ Count: 1 })), /there are 10000 device requests: at most 256/],
      [named(`nvidia.com/gpu=${'x'.repeat(1 << 20)}`), /has 1048591 characters: at most 1024/],
      [gpus({ Driver: 'x'.repeat(1 << 20), Count: 1 }), /has 1048576 characters/],
      [named(...many('nvidia.com/gpu=').slice(2, 1000)), /unresolvable CDI devices/],
      [named('nvidia.com/gpu=../x'), /is no name of a device/],
      [gpus({ DeviceIDs: ['../../dev/sda'] }), /there is no GPU \W+dev\/sda/],
      [gpus({ DeviceIDs: ['__proto__'] }), /there is no GPU \W+__proto__/],
      [gpus({ Driver: '__proto__', Count: 1 }), /there is no driver \W+__proto__/],
      [gpus({ Count: 2 ** 31 }), /2147483648 GPUs were asked for/],
    ];
    const slowest = await slowestPing(async () => {
      for (const [requests, reason] of refused) {
        const { status, text } = await startOnce(requests);
        assert.ok(status >= 400, text.slice(0, 200));
        assert.match(text, reason);
        assert.ok(text.length < 64 * 1024, String(text.length));
      }
    });
    for (const Count of [2 ** 53, 1.5, '1']) {
      const body = { Image: 'busybox', HostConfig: { DeviceRequests: gpus({ Count }) } };
      assert.equal((await call('POST', '/v1.43/containers/create', body)).status, 400);
    }
    assert.ok(slowest < longestPingMs, String(slowest));
  });

  const described = (kind: string, variable: string) =>
    JSON.stringify({ cdiVersion: '0.6.0', kind: `vendor.com/${kind}`, devices: [{ name: 'one', containerEdits: { env: [variable] } }] });

  test('descriptions that are bombs, huge, many or no files are told, the others work, and nobody waits', async () => {
    const write = (name: string, text: string) => writeFileSync(join(cdi(), name), text);
    for (let index = 0; index < 500; index++) write(`many-${index}.json`, described(`many-${index}`, 'A=1'));
    write('good.json', described('good', 'GOOD=1'));
    write(
      'aliases.yaml',
      ['a: &a [x,x]', ...[...'bcdefghijk'].map((to, at) => `${to}: &${to} [${Array(9).fill(`*${'abcdefghij'[at]}`).join(',')}]`)].join(
        '\n',
      ),
    );
    write('deep.yaml', `a: ${'['.repeat(15_000)}`);
    write('deep.json', `{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`);
    write('large.json', ' '.repeat((4 << 20) + 1));
    execFileSync('mkfifo', [join(cdi(), 'fifo.json')]);
    symlinkSync('/dev/zero', join(cdi(), 'zero.yaml'));
    symlinkSync('loop.yaml', join(cdi(), 'loop.yaml'));
    let problems: readonly { readonly Source: string }[] = [];
    const slowest = await slowestPing(async () => {
      assert.equal((await startOnce(named('vendor.com/good=one'))).status, 204);
      problems = (JSON.parse((await call('GET', '/devices')).text) as { readonly Problems: typeof problems }).Problems;
    });
    const sources = problems.map(({ Source }) => Source.slice(cdi().length + 1)).sort();
    assert.deepEqual(sources, ['aliases.yaml', 'deep.json', 'deep.yaml', 'fifo.json', 'large.json', 'loop.yaml', 'zero.yaml']);
    assert.ok(slowest < longestPingMs, String(slowest));
    rmSync(cdi(), { recursive: true });
    mkdirSync(cdi());
  });

  test('a directory that changes during fifty starts: each has one description or the other, or says that there is none', async () => {
    const file = join(cdi(), 'changing.json');
    let isOver = false;
    const changing = (async () => {
      for (let turn = 0; !isOver; turn++) {
        writeFileSync(`${file}.new`, described('changing', `TURN=${turn % 2}`));
        renameSync(`${file}.new`, file);
        if (turn % 3 === 0) rmSync(file);
        await delay(2);
      }
    })();
    const answers: Answer[] = [];
    for (let round = 0; round < 5; round++)
      answers.push(...(await Promise.all(Array.from({ length: 10 }, () => startOnce(named('vendor.com/changing=one'))))));
    isOver = true;
    await changing;
    for (const { status, text } of answers) if (status !== 204) assert.match(text, /unresolvable CDI devices vendor\.com\/changing=one/);
    rmSync(file, { force: true });
  });

  test('fifty at once for two exclusive GPUs, and a daemon that is killed meanwhile: never more than one has each, and nothing stays held', async () => {
    const exclusive = { DeviceRequests: gpus({ Count: 1, Options: { exclusive: 'true' } }) };
    const rush = async (count: number, ...cmd: readonly string[]) => {
      const ids = await Promise.all(Array.from({ length: count }, () => create(exclusive, ...cmd)));
      return { ids, started: ids.map((id) => call('POST', `/v1.43/containers/${id}/start`).catch(() => null)) };
    };
    const first = await rush(50, 'sleep', '1000');
    const answers = await Promise.all(first.started);
    assert.equal(answers.filter((answer) => answer?.status === 204).length, 2);
    for (const answer of answers) if (answer?.status !== 204) assert.match(answer?.text ?? '', /held exclusively by container/);
    await Promise.all(first.ids.map(remove));
    const second = await rush(10, 'sleep', '1000');
    await Promise.race(second.started);
    await daemon.crash();
    await daemon.restart();
    const { Devices: devices } = JSON.parse((await call('GET', '/devices')).text) as {
      readonly Devices: readonly { readonly HeldBy: readonly unknown[] }[];
    };
    for (const { HeldBy: heldBy } of devices) assert.ok((heldBy ?? []).length <= 1, JSON.stringify(heldBy));
    const running = JSON.parse((await call('GET', '/v1.43/containers/json')).text) as readonly unknown[];
    assert.ok(running.length <= 2, String(running.length));
    await Promise.all(second.ids.map(remove));
    assert.equal((await startOnce(gpus({ Count: 2, Options: { exclusive: 'true' } }))).status, 204);
  });
});
