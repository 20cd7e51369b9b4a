/** Runtimes through the daemon: names, what is below the version floor, one that hangs, `--hardened` for all. Needs root, the docker CLI and busybox. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('runtimes of the daemon', { skip, timeout: 120_000 }, () => {
  let daemon: GantryDaemon;
  let hardened: GantryDaemon;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-runtimes-'));
  const dockerOf = (to: GantryDaemon, ...args: string[]) => runCommand(['docker', '-H', to.host, ...args]);
  const docker = (...args: string[]) => dockerOf(daemon, ...args);

  function script(name: string, text: string): string {
    const path = join(directory, name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  }

  before(async () => {
    const runtimes = {
      old: { path: script('old', 'echo "runc version 1.1.5"') },
      hangs: { path: script('hangs', '[ "$1" = --version ] && exec echo "crun version 1.25"; sleep 1000'), timeoutSeconds: 3 },
    };
    const config = join(directory, 'daemon.json');
    writeFileSync(config, JSON.stringify({ runtimes }));
    [daemon, hardened] = await Promise.all([
      startGantry({ flags: ['--config-file', config] }),
      startGantry({ flags: ['--hardened', '--add-runtime', `old=${runtimes.old.path}`, '--bridge', 'none'] }),
    ]);
    await loadBusybox(daemon.host, hardened.host);
  });

  after(async () => {
    await Promise.all([daemon?.dispose(), hardened?.dispose()]);
    rmSync(directory, { recursive: true });
  });

  test('names: info lists them, inspect shows the one that was chosen, an unknown one is refused', async () => {
    const info = await docker('info', '-f', '{{range $name, $it := .Runtimes}}{{$name}} {{end}}/ {{.DefaultRuntime}}');
    assert.match(info.stdout, /^hangs native old (runc )?\/ native\n$/);
    assert.equal((await docker('create', '--name', 'plain', 'busybox')).status, 0);
    assert.equal((await docker('inspect', '-f', '{{.HostConfig.Runtime}}', 'plain')).stdout, 'native\n');
    assert.match((await docker('create', '--runtime', 'nowhere', 'busybox')).stderr, /unknown or invalid runtime name: nowhere/);
  });

  test('SEC-11 a runtime below the floor warns loudly, and is refused under hardened', async () => {
    const weakness =
      /runc 1\.1\.5 is older than 1\.2\.8 or 1\.3\.3 and lacks the fixes of CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881/;
    const created = await docker('create', '--runtime', 'old', 'busybox');
    assert.equal(created.status, 0);
    assert.match(created.stderr, weakness);
    assert.match((await docker('info')).stderr, weakness);
    assert.match(daemon.log(), weakness);
    assert.match(
      (await docker('create', '--runtime', 'old', '--security-opt', 'hardened=true', '--userns', 'host', 'busybox')).stderr,
      weakness,
    );
    const refused = await dockerOf(hardened, 'create', '--runtime', 'old', '--userns', 'host', 'busybox');
    assert.deepEqual([refused.status, /a hardened container cannot use the runtime "old"/.test(refused.stderr)], [1, true]);
  });

  test('one that hangs: unrelated calls stay under a second, and the error says what hung', async () => {
    const began = performance.now();
    const hanging = docker('run', '--name', 'stuck', '--network', 'none', '--runtime', 'hangs', 'busybox', 'true');
    let slowest = 0;
    for (let round = 0; round < 8; round++) {
      const before = performance.now();
      const { status } = await runCommand([
        'curl',
        '-sf',
        '--unix-socket',
        daemon.host.slice('unix://'.length),
        'http://x/containers/json?all=1',
      ]);
      slowest = Math.max(slowest, performance.now() - before);
      assert.equal(status, 0);
    }
    assert.equal((await docker('run', '--rm', '--network', 'none', 'busybox', 'echo', 'unharmed')).stdout, 'unharmed\n');
    const { status, stderr } = await hanging;
    assert.ok(performance.now() - began < 60_000);
    assert.equal(status, 125);
    assert.match(stderr, /the runtime "hangs" hangs: ".*\/hangs create" did not end within 3 s and was killed/);
    assert.ok(slowest < 1000, `${slowest} ms`);
    assert.equal((await docker('rm', 'stuck')).status, 0);
  });

  test('--hardened: every container, unless it says otherwise', async () => {
    const show = 'grep NoNewPrivs /proc/self/status';
    const read = async (...flags: string[]) =>
      (await dockerOf(hardened, 'run', '--rm', '--network', 'none', ...flags, 'busybox', 'sh', '-c', show)).stdout;
    assert.match(await read(), /NoNewPrivs:\t1/);
    assert.match(await read('--security-opt', 'hardened=false'), /NoNewPrivs:\t0/);
    const limit = async (...flags: string[]) => {
      const { stdout } = await dockerOf(hardened, 'create', '--network', 'none', ...flags, 'busybox');
      return (
        await dockerOf(hardened, 'inspect', '-f', '{{.HostConfig.PidsLimit}} {{.HostConfig.UsernsMode}}', stdout.trim())
      ).stdout.trim();
    };
    assert.deepEqual([await limit(), await limit('--userns', 'host', '--pids-limit', '-1')], ['2048 auto', '-1 host']);
    assert.match((await dockerOf(hardened, 'create', '--privileged', 'busybox')).stderr, /--security-opt hardened=false/);
  });
});
