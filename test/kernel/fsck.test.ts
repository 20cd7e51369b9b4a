/** `system fsck` against a daemon at work, and against damage of every kind. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createContainer, engineCall } from '../faults/engine-request.ts';
import { globalNameOf, ownCgroups } from '../faults/residue.ts';
import { runCommand } from '../harness/command.ts';
import { fsckFindings, fsckOnce } from '../harness/fsck.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const nobody = 'ab'.repeat(32);

suite('system fsck', { skip }, () => {
  let daemon: GantryDaemon;
  const gantry = (...args: string[]) => runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });

  after(() => daemon?.dispose());

  test('finds nothing while containers with networks, ports and volumes come, run and go', async () => {
    const run = ['run', '-d', '--network', 'fsck-net', '-p', '127.0.0.1::80', '-v', 'fsck-vol:/v', 'busybox', 'sleep', '1000'] as const;
    await docker('network', 'create', 'fsck-net');
    const resident = await docker(...run);
    const churn = async () => {
      for (let index = 0; index < 8; index++) await docker('run', '--rm', '--network', 'fsck-net', 'busybox', 'true');
    };
    const [, ...looks] = await Promise.all([churn(), fsckFindings(daemon.host), delay(500).then(() => fsckFindings(daemon.host))]);
    assert.deepEqual(looks, [[], []]);
    await daemon.crash();
    await daemon.restart();
    assert.deepEqual(await fsckFindings(daemon.host, 'GET', true), []);
    await docker('rm', '-f', resident);
    await docker('network', 'rm', 'fsck-net');
    await docker('volume', 'rm', 'fsck-vol');
  });

  test('tells and removes what does not belong there, and nothing else', async () => {
    const id = await createContainer(daemon.host, { name: 'lives', command: ['sleep', '1000'] });
    await engineCall(daemon.host, 'POST', `/containers/${id}/start`);
    const strays = makeStrays(daemon);
    const expected = strays.map((path) => path.replace('/sys/fs/cgroup/memory', '').replace('/sys/fs/cgroup/unified', '')).sort();
    assert.deepEqual((await fsckOnce(daemon.host)).map(whatOf).sort(), [...new Set(expected)]);
    const listed = await gantry('system', 'fsck');
    assert.equal(listed.status, 1, listed.stderr);
    assert.match(listed.stdout, /no container has this id\n {2}--repair removes it\n/);
    const repair = await gantry('system', 'fsck', '--repair', '--format', 'json');
    assert.equal(repair.status, 0, repair.stdout);
    assert.deepEqual(
      strays.filter((path) => existsSync(path)),
      [],
    );
    assert.equal((await gantry('system', 'fsck')).stdout, 'Nothing to repair\n');
    assert.equal(await docker('exec', 'lives', 'echo', 'here'), 'here');
    await docker('rm', '-f', 'lives');
  });

  test('removes rows that nobody knows, and stores again those that are missing', async () => {
    const id = await createContainer(daemon.host, { name: 'row', command: ['true'] });
    const path = `${daemon.dataRoot}/gantry.db`;
    withDatabase(path, (database) => renameRow(database, id));
    const found = await fsckOnce(daemon.host);
    assert.equal(found.length, 2, found.join('\n'));
    await fsckOnce(daemon.host, 'POST');
    assert.deepEqual(await fsckFindings(daemon.host), []);
    await daemon.crash();
    await daemon.restart();
    assert.equal(await docker('ps', '-a', '--format', '{{.Names}}'), 'row');
    await docker('rm', 'row');
  });

  test('with --deep finds damaged bytes; after the repair the same archive loads again', async () => {
    await docker('pull', '-q', 'hello-world');
    const blobs = `${daemon.dataRoot}/blobs/sha256`;
    const largest = await docker('image', 'inspect', '-f', '{{.Id}}', 'hello-world');
    const victim = readdirSync(blobs).find((name) => name !== largest.slice('sha256:'.length)) ?? '';
    writeFileSync(`${blobs}/${victim}`, 'damaged');
    assert.deepEqual(await fsckFindings(daemon.host), []);
    assert.deepEqual((await fsckOnce(daemon.host, 'GET', true)).map(whatOf), [`sha256:${victim}`]);
    await fsckOnce(daemon.host, 'POST', true);
    assert.match((await fsckOnce(daemon.host))[0] ?? '', /it is missing, and image .* needs it: load or pull that again/);
    await docker('rmi', '-f', 'hello-world', 'busybox');
    assert.deepEqual(await fsckOnce(daemon.host, 'GET', true), []);
    await loadBusybox(daemon.host);
  });

  test('an image whose config is gone is forgotten, unless it is loaded again', async () => {
    const image = await docker('image', 'inspect', '-f', '{{.Id}}', 'busybox');
    await daemon.stop();
    rmSync(`${daemon.dataRoot}/blobs/sha256/${image.slice('sha256:'.length)}`);
    await daemon.restart();
    assert.match((await fsckOnce(daemon.host)).join('\n'), /row image sha256:.*: it cannot be used/);
    await fsckOnce(daemon.host, 'POST');
    assert.deepEqual(await fsckFindings(daemon.host), []);
    assert.deepEqual(readdirSync(`${daemon.dataRoot}/blobs/sha256`), []);
    await loadBusybox(daemon.host);
  });

  test('a volume directory that is missing is made anew, one without a record becomes a volume', async () => {
    await docker('volume', 'create', 'gone');
    rmSync(`${daemon.dataRoot}/volumes/gone`, { recursive: true });
    mkdirSync(`${daemon.dataRoot}/volumes/found/_data`, { recursive: true });
    assert.equal((await fsckOnce(daemon.host)).length, 2);
    await fsckOnce(daemon.host, 'POST');
    assert.deepEqual(await fsckFindings(daemon.host), []);
    assert.equal(await docker('run', '--rm', '-v', 'gone:/a', '-v', 'found:/b', 'busybox', 'ls', '/a', '/b'), '/a:\n\n/b:');
    await docker('volume', 'rm', 'gone', 'found');
  });

  test('a monitor that looks after nothing is ended', async () => {
    const id = await createContainer(daemon.host, { name: 'lost', command: ['sleep', '1000'] });
    await engineCall(daemon.host, 'POST', `/containers/${id}/start`);
    // The daemon that comes knows the container as one that ended long ago, and nothing of a run.
    await daemon.crash();
    const hidden = `${daemon.execRoot}/hidden`;
    renameSync(`${daemon.execRoot}/c/${id}`, hidden);
    withDatabase(`${daemon.dataRoot}/gantry.db`, (database) =>
      database.prepare('UPDATE containers SET record = replace(record, \'"status":"running"\', \'"status":"exited"\')').run(),
    );
    await daemon.restart();
    renameSync(hidden, `${daemon.execRoot}/c/${id}`);
    const found = (await fsckOnce(daemon.host)).map((line) => line.split(' ', 1)[0]).sort();
    assert.deepEqual(found, ['cgroup', 'directory', 'process', 'socket']);
    await fsckOnce(daemon.host, 'POST');
    assert.deepEqual(await fsckFindings(daemon.host), []);
    await docker('start', 'lost');
    await docker('rm', '-f', 'lost');
  });

  async function docker(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runCommand(['docker', '-H', daemon.host, ...args]);
    assert.equal(status, 0, `docker ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  }
});

function whatOf(line: string): string {
  return /^\S+ (.*?): /.exec(line)?.[1] ?? line;
}

/** Paths of what was made. */
function makeStrays(daemon: GantryDaemon): readonly string[] {
  const { dataRoot, execRoot } = daemon;
  const directories = [
    `${dataRoot}/containers/${nobody}`,
    `${dataRoot}/layers/d-${nobody}`,
    `${dataRoot}/layers/tmp-9`,
    `${dataRoot}/volumes/.new-${nobody.slice(0, 40)}`,
    `${execRoot}/c/${nobody}`,
    ...ownCgroups(daemon)
      .filter((path) => /\/(memory|unified)\//.test(path) || path === `/sys/fs/cgroup/${globalNameOf(daemon)}`)
      .map((path) => `${path}/${nobody}`),
  ];
  for (const path of directories) mkdirSync(path, { recursive: true });
  const files = [`${dataRoot}/blobs/tmp/9`, `${dataRoot}/blobs/sha256/no-digest`, `${execRoot}/m/0123456789abcdef`];
  for (const path of files) writeFileSync(path, '');
  const link = `${dataRoot}/layers/l/999`;
  symlinkSync(`../d-${nobody}/fs`, link);
  return [...directories, ...files, link];
}

/** As if it had been another container's all the time. */
function renameRow(database: DatabaseSync, id: string): void {
  const row = database.prepare('SELECT created_at, record FROM containers WHERE id = ?').get(id);
  const record = String(row?.record).replaceAll(id, nobody);
  database.prepare('UPDATE containers SET id = ?, name = ?, record = ? WHERE id = ?').run(nobody, 'ghost', record, id);
}

function withDatabase(path: string, use: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(path);
  try {
    use(database);
  } finally {
    database.close();
  }
}
