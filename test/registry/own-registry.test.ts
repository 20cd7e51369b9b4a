/**
 * The registry in the daemon (`--with-registry`): a push to it brings no byte, each side keeps what the other needs, through kills and without it, and others see nothing of the
 * daemon's blobs. Needs root.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';
import { inspectImage, pull, push, removeImage } from './engine-images.ts';
import { succeed } from './registry-clients.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const layerBytes = 30_000_000;

describe('the registry in the daemon', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-own-'));
  let daemon: GantryDaemon;
  let host = '';

  before(async () => {
    const port = await freePort();
    host = `localhost:${port}`;
    // What a deletion frees can be collected after this.
    writeFileSync(join(directory, 'registry.json'), JSON.stringify({ garbageCollection: { grace: '1s', interval: null } }));
    const flags = [`--with-registry=127.0.0.1:${port}`, '--registry-config', join(directory, 'registry.json')];
    daemon = await startGantry({ flags });
  });
  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  const blobs = (): ReadonlyMap<string, number> => {
    const folder = join(daemon.dataRoot, 'blobs/sha256');
    return new Map(readdirSync(folder).map((name) => [name, statSync(join(folder, name)).size]));
  };
  const registry = (path: string, method = 'GET') => fetch(`http://${host}/v2/${path}`, { method });

  /** An image of one layer that nothing can make smaller. */
  async function importImage(name: string): Promise<void> {
    const root = mkdtempSync(join(directory, 'root-'));
    writeFileSync(join(root, 'noise'), randomBytes(layerBytes));
    execFileSync('tar', ['-C', root, '-cf', `${root}.tar`, '.']);
    await succeed('docker', '-H', daemon.host, 'import', `${root}.tar`, name);
  }

  async function pushed(name: string): Promise<string> {
    const { error, messages } = await push(daemon.host, name);
    assert.equal(error, null);
    return messages.find(({ aux }) => aux?.Digest !== undefined)?.aux?.Digest ?? '';
  }

  test('a push brings no byte, a pull takes none; rmi leaves what the registry needs, a kill everything', async () => {
    await importImage('made:1');
    const before = blobs();
    await succeed('docker', '-H', daemon.host, 'tag', 'made:1', `${host}/team/app:1`);
    const startedAt = performance.now();
    const digest = await pushed(`${host}/team/app:1`);
    assert.deepEqual(blobs(), before);
    assert.deepEqual(readdirSync(join(daemon.dataRoot, 'registry/uploads')), []);
    assert.ok(performance.now() - startedAt < 20_000);
    await daemon.crash();
    await daemon.restart();
    const id = (await inspectImage(daemon.host, 'made:1'))?.Id;
    for (const name of ['made:1', `${host}/team/app:1`]) await removeImage(daemon.host, name);
    const kept = blobs();
    assert.ok(
      [...kept.values()].some((size) => size > layerBytes),
      'the layer stays for the registry',
    );
    assert.ok(kept.size <= before.size);
    assert.equal((await registry(`team/app/manifests/${digest}`)).status, 200);
    const { error, messages } = await pull(daemon.host, `${host}/team/app:1`);
    assert.equal(error, null);
    assert.ok(
      messages.some(({ status }) => status === 'Already exists'),
      'the layer is not fetched',
    );
    assert.equal((await inspectImage(daemon.host, `${host}/team/app:1`))?.Id, id);
    // What the registry gives up, the image still has; what both give up goes.
    const config = join(daemon.dataRoot, 'registry');
    const collect = () =>
      runCommand([process.execPath, '--no-warnings', programEntry, 'registry', 'gc', '--root', config], { timeoutMs: 60_000 });
    assert.equal((await registry(`team/app/manifests/${digest}`, 'DELETE')).status, 202);
    // No condition to wait for: the grace is a time.
    await delay(1100);
    const first = await collect();
    assert.equal(first.status, 0, first.stderr);
    assert.match(first.stdout, /^Removed 0 blobs/);
    assert.ok([...blobs().values()].some((size) => size > layerBytes));
    await removeImage(daemon.host, `${host}/team/app:1`);
    assert.ok(![...blobs().values()].some((size) => size > layerBytes), 'nobody needs it');
  });

  test('SEC-26 nobody else reaches the blobs of the daemon, not by their digest and not by a made-up name', async () => {
    await importImage('private:1');
    const [layer = ''] = [...blobs()].find(([, size]) => size > layerBytes) ?? [];
    const digest = `sha256:${layer}`;
    assert.equal((await registry(`any/thing/blobs/${digest}`, 'HEAD')).status, 404);
    for (const from of ['private', `gantry-own-${'0'.repeat(64)}`, `gantry-own-${layer}`]) {
      const answer = await registry(`any/thing/blobs/uploads/?mount=${digest}&from=${from}`, 'POST');
      assert.equal(answer.status, 202, from);
      await fetch(new URL(answer.headers.get('location') ?? '', `http://${host}`), { method: 'DELETE' });
    }
    assert.equal((await registry(`any/thing/blobs/${digest}`, 'HEAD')).status, 404);
    await removeImage(daemon.host, 'private:1');
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
