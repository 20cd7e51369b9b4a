/** SECURITY.md rows 15, 16, 17, 31 and 32 through the API and the docker CLI. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { engineRequest } from '../faults/engine-request.ts';
import { processesOf } from '../faults/residue.ts';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('the machine against known attacks', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  test('SEC-15 labels of an image that the engine would obey are inert', async () => {
    const labels = ['gantry.ttl=1s', 'gantry.lease=nobody', 'com.docker.volume.anonymous=', '__proto__=x'];
    const changes = [...labels.flatMap((label) => ['--change', `LABEL ${label}`]), '--change', 'CMD ["/bin/busybox","sleep","1000"]'];
    const imported = await shell(
      `d=$(mktemp -d); mkdir $d/bin; cp /bin/busybox $d/bin/; tar -C $d -c . | docker -H ${daemon.host} import ${changes.map((word) => `'${word}'`).join(' ')} - labelled; rm -r $d`,
    );
    assert.equal(imported.status, 0, imported.stderr);
    const id = (await docker('run', '-d', '--network', 'none', '-v', '/anonymous', 'labelled')).stdout.trim();
    await delay(2500);
    assert.equal((await docker('inspect', '-f', '{{.State.Status}}', id)).stdout, 'running\n');
    assert.equal((await docker('inspect', '-f', '{{index .Config.Labels "gantry.ttl"}}', 'labelled')).stdout, '1s\n');
    await docker('rm', '-f', '-v', id);
    await docker('rmi', 'labelled');
  });

  test('SEC-15 a log file that somebody made a link leads nowhere', async () => {
    const canary = `${daemon.directory}/canary`;
    writeFileSync(canary, 'canary\n');
    const id = (await docker('create', 'busybox', 'echo', 'overwritten')).stdout.trim();
    const log = `${daemon.dataRoot}/containers/${id}/${id}-json.log`;
    rmSync(log, { force: true });
    symlinkSync(canary, log);
    const started = await docker('start', id);
    assert.equal(readFileSync(canary, 'utf8'), 'canary\n', started.stderr);
    assert.doesNotMatch((await docker('logs', id)).stdout, /canary/);
    await docker('rm', '-f', id);
    assert.ok(existsSync(canary));
  });

  test('SEC-16 from the host’s network a container finds no socket of ours to talk to', async () => {
    const script =
      'for s in $(awk "NR > 1 {print \\$8}" /proc/net/unix | sort -u); do case $s in @*) echo "$s";; esac; done; ls /run /var/run 2>/dev/null';
    const { stdout } = await docker('run', '--rm', '--network', 'host', 'busybox', 'sh', '-c', script);
    assert.doesNotMatch(stdout, /gantry|launcher|monitor/);
    const { stdout: modes } = await shell(
      `stat -c '%a %U %n' ${daemon.execRoot}/launcher.sock ${daemon.execRoot}/m ${daemon.execRoot}/c ${daemon.dataRoot}/containers`,
    );
    for (const line of modes.trim().split('\n')) assert.match(line, /^[67]00 root /, line);
    assert.ok(processesOf(daemon).length > 0);
  });

  test('SEC-17 ids and names with ../ are refused, and lead nowhere', async () => {
    for (const [method, path] of [
      ['DELETE', '/volumes/..%2f..%2fcontainers'],
      ['GET', '/volumes/..'],
      ['GET', '/containers/..%2f..%2fgantry.db/json'],
      ['GET', '/containers/..%2fx/logs?stdout=1'],
      ['POST', '/containers/create?name=..%2fx'],
      ['DELETE', '/images/..%2f..%2fx'],
      ['GET', '/networks/..%2fx'],
      ['POST', '/leases?name=..%2fx'],
    ] as const) {
      const reply = await engineRequest(daemon.host, method, path, method === 'POST' ? { Image: 'busybox' } : undefined);
      assert.ok(reply !== null && [400, 404].includes(reply.status), `${method} ${path}: ${reply?.status}`);
    }
    const created = await engineRequest(daemon.host, 'POST', '/volumes/create', { Name: '../x' });
    assert.equal(created?.status, 400);
  });

  test('SEC-31 authorization plugins are refused by name', async () => {
    await assert.rejects(
      startGantry({ flags: ['--authorization-plugin', 'opa'] }),
      /--authorization-plugin opa is not supported yet: Gantry has nothing like it/,
    );
  });

  test('SEC-32 output and names with line breaks and escapes stay one record; values of the environment are in no event, log or error', async () => {
    const forged = 'a\n{"log":"forged","stream":"stdout"}\r\u001b[31m';
    const since = Math.floor(Date.now() / 1000);
    const secret = 'hunter2-7f3a';
    const env = ['-e', `TOKEN=${secret}`];
    const { stdout: id } = await docker('run', '-d', '--label', `l=${forged}`, ...env, 'busybox', 'printf', '%s', forged);
    await docker('wait', id.trim());
    const log = readFileSync(`${daemon.dataRoot}/containers/${id.trim()}/${id.trim()}-json.log`, 'utf8').trimEnd().split('\n');
    assert.equal(log.map((line) => (JSON.parse(line) as { log: string }).log).join(''), forged);
    await docker('exec', ...env, id.trim(), 'true');
    await docker('run', '--rm', ...env, 'busybox', '/no/such/program');
    await docker('run', '--rm', '-e', `=${secret}`, 'busybox', 'true');
    const events = await docker(
      'events',
      '--since',
      String(since),
      '--until',
      String(Math.ceil(Date.now() / 1000)),
      '--format',
      '{{json .}}',
    );
    const lines = events.stdout.trimEnd().split('\n');
    assert.ok(lines.length >= 3, events.stdout);
    for (const line of lines) JSON.parse(line);
    assert.ok(!events.stdout.includes(secret));
    const text = daemon.log();
    assert.ok(!text.includes(secret));
    assert.doesNotMatch(text, /\u001b|forged","stream/);
    await docker('rm', id.trim());
  });
});
