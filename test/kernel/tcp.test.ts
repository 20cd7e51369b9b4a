/** The API on TCP: mutual TLS, loopback, socket activation, and who is refused (SEC-30). Needs root, the docker CLI, openssl and busybox-static. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Certificates, makeCertificates } from '../harness/certificates.ts';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !existsSync('/usr/bin/openssl') ? 'needs openssl' : false;

suite('the API on TCP', { skip }, () => {
  let directory: string;
  let certificates: Certificates;
  let secure: GantryDaemon;
  let port: number;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'g-tcp-'));
    certificates = await makeCertificates(directory);
    const { server } = certificates;
    const files = [`--tlscacert=${server}/ca.pem`, `--tlscert=${server}/cert.pem`, `--tlskey=${server}/key.pem`];
    secure = await startGantry({ flags: ['-H', 'tcp://0.0.0.0:0', '--tlsverify', ...files] });
    port = portOf(secure);
    await loadBusybox(secure.host);
  });

  after(async () => {
    await secure?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  test('docker --tlsverify runs, streams, execs and attaches over it', async () => {
    const docker = (...args: string[]) => tls('docker', args);
    assert.equal((await docker('run', '--rm', 'busybox', 'echo', 'over TLS')).stdout, 'over TLS\n');
    assert.equal(
      (await tls('docker', ['run', '--rm', '-i', 'busybox', 'sh', '-c', 'wc -c; echo end'], 'x'.repeat(100_000))).stdout,
      '100000\nend\n',
    );
    await docker('run', '-d', '--name', 'tls', 'busybox', 'sleep', '1000');
    assert.equal((await tls('docker', ['exec', '-i', 'tls', 'cat'], 'to and fro')).stdout, 'to and fro');
    assert.equal((await docker('rm', '-f', 'tls')).status, 0);
  });

  test('gantry speaks it too: flags, variables, and a context', async () => {
    const { client } = certificates;
    const host = `tcp://127.0.0.1:${port}`;
    const flags = ['--tlsverify', `--tlscacert=${client}/ca.pem`, `--tlscert=${client}/cert.pem`, `--tlskey=${client}/key.pem`];
    const run = ['run', '--rm', '-i', 'busybox', 'sh', '-c', 'cat; echo end'];
    const gantry = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
      runCommand([process.execPath, '--no-warnings', programEntry, ...args], { env: { ...process.env, ...env }, input: 'in ' });
    assert.equal((await gantry(['-H', host, ...flags, ...run])).stdout, 'in end\n');
    const variables = { DOCKER_HOST: host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: client };
    const byVariables = await gantry(run, variables);
    assert.equal(byVariables.stdout, 'in end\n', byVariables.stderr);
    const config = join(directory, 'config');
    mkdirSync(config);
    const endpoint = `host=${host},ca=${client}/ca.pem,cert=${client}/cert.pem,key=${client}/key.pem`;
    const made = await runCommand(['docker', '--config', config, 'context', 'create', 'far', '--docker', endpoint]);
    assert.equal(made.status, 0, made.stderr);
    const byContext = await gantry(['--config', config, '-c', 'far', ...run]);
    assert.equal(byContext.stdout, 'in end\n', byContext.stderr);
    const plain = await gantry(['-H', host, 'version']);
    assert.match(plain.stderr, /TLS/);
    assert.notEqual(plain.status, 0);
    const stranger = await gantry(['-H', host, '--tlsverify', `--tlscacert=/etc/ssl/certs/ca-certificates.crt`, 'version'], {
      DOCKER_CERT_PATH: client,
    });
    assert.notEqual(stranger.status, 0);
  });

  test('SEC-30 a client without a certificate, or with somebody else’s, gets nothing', async () => {
    await assert.rejects(ask({ tls: {} }), /certificate required|ECONNRESET|socket hang up|alert/);
    mkdirSync(join(directory, 'other'));
    const other = await makeCertificates(join(directory, 'other'));
    await assert.rejects(ask({ tls: clientFiles(other.client) }), /unknown ca|certificate|ECONNRESET|socket hang up|alert/);
    assert.equal((await ask({ tls: clientFiles(certificates.client) })).status, 200);
    const plain = await ask({}).catch((error: unknown) => error);
    assert.ok(plain instanceof Error || (plain as { status: number }).status >= 400);
  });

  test('SEC-30 a foreign Host, and any Origin, are refused; our own names and addresses are not', async () => {
    const tls = clientFiles(certificates.client);
    for (const host of ['127.0.0.1', `127.0.0.1:${port}`, 'localhost', 'engine.example.org:1'])
      assert.equal((await ask({ tls, headers: { host } })).status, 200, host);
    const foreign = await ask({ tls, headers: { host: 'evil.example.org' } });
    assert.deepEqual(
      [foreign.status, foreign.body],
      [403, '{"message":"requests for the host \\"evil.example.org\\" are refused: it is no name of this daemon"}\n'],
    );
    assert.equal((await ask({ tls, headers: { origin: 'http://localhost' } })).status, 403);
    assert.equal(foreign.headers['access-control-allow-origin'], undefined);
    const typed = await ask({ tls, method: 'POST', path: '/containers/create', headers: { 'content-type': 'text/plain' }, body: '{}' });
    assert.equal(typed.status, 400);
  });

  test('SEC-30 a container cannot reach it', async () => {
    const gateway = (await docker(secure.host, 'network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', 'bridge')).trim();
    const script = `printf 'GET /_ping HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${gateway} ${port}; echo "said $?"`;
    assert.match(await docker(secure.host, 'run', '--rm', 'busybox', 'sh', '-c', script), /^said \d+\n$/);
    assert.match(secure.log(), /a container tried to reach the API over the network: refused/);
  });

  test('SEC-30 without mutual TLS only loopback, and only by --insecure-tcp', async () => {
    for (const [flags, message] of [
      [['-H', 'tcp://0.0.0.0:0'], /refusing to listen on tcp:\/\/0\.0\.0\.0:0 without mutual TLS/],
      [['-H', 'tcp://127.0.0.1:0', '--tlsverify', '--tlscacert=/nowhere'], /cannot listen with TLS: .*\/nowhere/],
    ] as const)
      await assert.rejects(startGantry({ flags }), message);
    const open = await startGantry({ flags: ['-H', 'tcp://127.0.0.1:0', '--insecure-tcp'] });
    try {
      assert.match(await docker(`tcp://127.0.0.1:${portOf(open)}`, 'version'), /Gantry/);
      assert.equal((await ask({ port: portOf(open), headers: { host: 'evil.example.org' } })).status, 403);
      const gantry = await runCommand([
        process.execPath,
        '--no-warnings',
        programEntry,
        '-H',
        `tcp://127.0.0.1:${portOf(open)}`,
        'info',
        '-f',
        '{{.ServerVersion}}',
      ]);
      assert.match(gantry.stdout, /^\d+\.\d+/);
    } finally {
      await open.dispose();
    }
  });

  test('SIGHUP takes over renewed certificates, and keeps those of before when they do not go together', async () => {
    const { server, client } = certificates;
    const version = async (path: string) => (await ask({ tls: clientFiles(path) })).status;
    const renewed = join(directory, 'renewed');
    mkdirSync(renewed);
    const fresh = await makeCertificates(renewed, 'IP:127.0.0.1,DNS:renewed.example.org');
    const takeOver = async (from: string, names: readonly string[], said: RegExp) => {
      for (const name of names) copyFileSync(join(from, name), join(server, name));
      const before = secure.log().length;
      process.kill(secure.pid, 'SIGHUP');
      for (const deadline = Date.now() + 30_000; !said.test(secure.log().slice(before)); await delay(20))
        assert.ok(Date.now() < deadline, `the log does not say ${said}`);
    };
    const script = 'until [ -e /go ]; do sleep 0.1; done; echo still here';
    const open = tls('docker', ['run', '--rm', '--name', 'open', 'busybox', 'sh', '-c', script]);
    const isUp = async () => (await shell(`docker -H ${secure.host} exec open true`)).status === 0;
    for (const deadline = Date.now() + 30_000; !(await isUp()); await delay(50)) assert.ok(Date.now() < deadline, 'it does not run');
    await takeOver(fresh.server, ['key.pem'], /the certificate could not be read again: .*|cannot use .*cert\.pem/);
    assert.equal(await version(client), 200);
    await takeOver(fresh.server, ['ca.pem', 'cert.pem', 'key.pem'], /the configuration was read again/);
    assert.equal(await version(fresh.client), 200);
    await assert.rejects(version(client), /unknown ca|certificate|ECONNRESET|socket hang up|alert/);
    const asked = async (host: string) => (await ask({ tls: clientFiles(fresh.client), headers: { host } })).status;
    assert.deepEqual([await asked('renewed.example.org'), await asked('engine.example.org')], [200, 403]);
    await docker(secure.host, 'exec', 'open', 'touch', '/go');
    assert.equal((await open).stdout, 'still here\n', 'a connection of before goes on');
    certificates = fresh;
  });

  test('a unix socket passed by a service manager is served; a TCP one obeys the same rules', async () => {
    const script = join(directory, 'activate.py');
    const python = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX if sys.argv[1] == 'unix' else socket.AF_INET)
s.bind(sys.argv[2] if sys.argv[1] == 'unix' else ('127.0.0.1', 0)); s.listen()
os.dup2(s.fileno(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[3], sys.argv[3:])`;
    await shell(`cat > ${script}`, { input: python });
    const activated = await startGantry({ flags: ['-H', 'fd://'], wrapper: ['python3', script, 'unix', join(directory, 'passed.sock')] });
    try {
      assert.match(await docker(`unix://${directory}/passed.sock`, 'version'), /Gantry/);
    } finally {
      await activated.dispose();
    }
    await assert.rejects(
      startGantry({ flags: ['-H', 'fd://'], wrapper: ['python3', script, 'tcp', ''] }),
      /refusing to listen on tcp:\/\/127\.0\.0\.1:\d+ without mutual TLS/,
    );
  });

  function tls(program: string, args: readonly string[], input = '') {
    const { client } = certificates;
    const flags = ['--tlsverify', `--tlscacert=${client}/ca.pem`, `--tlscert=${client}/cert.pem`, `--tlskey=${client}/key.pem`];
    return runCommand([program, '-H', `tcp://127.0.0.1:${port}`, ...flags, ...args], { input });
  }

  interface Ask {
    readonly tls?: object;
    readonly port?: number;
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }

  function ask({ tls, port: at = port, method = 'GET', path = '/version', headers = {}, body = '' }: Ask) {
    const options = { host: '127.0.0.1', port: at, method, path, headers, agent: false, timeout: 10_000 };
    return new Promise<{ status: number; body: string; headers: NodeJS.Dict<string | string[]> }>((resolve, reject) => {
      const sent = tls === undefined ? request(options) : tlsRequest({ ...options, rejectUnauthorized: false, ...tls });
      sent.on('response', (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
      });
      sent.on('timeout', () => sent.destroy(new Error('no answer')));
      sent.on('error', reject);
      sent.end(body);
    });
  }
});

function clientFiles(directory: string): object {
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => readFileSync(join(directory, `${name}.pem`)));
  return { ca, cert, key };
}

function portOf(daemon: GantryDaemon): number {
  return Number(/^ready .*tcp:\/\/\S*:(\d+)$/m.exec(daemon.log())?.[1]);
}

async function docker(host: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(['docker', '-H', host, ...args]);
  assert.equal(status, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout;
}
