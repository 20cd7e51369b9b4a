/** A disk that fills in the middle of a pull, and in the middle of a push to our server: on tmpfs of a few megabytes. Needs root. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { engineRequest } from '../faults/engine-request.ts';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { startGantryRegistry } from '../harness/gantry-registry.ts';
import { addImage, layerTar, noise } from '../harness/registry-images.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';
import { imageTraces, inspectImage, partialBlobs, pull, removeImage } from './engine-images.ts';
import { WireClient } from './wire-client.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

describe('a full disk', { skip }, () => {
  describe('of the daemon', () => {
    let daemon: GantryDaemon;
    let registry: FaultRegistry;
    before(async () => {
      // The mount is in the daemon's own namespace and ends with it. Small enough for a blob or its files, not for both.
      const mount = 'mkdir -p "$DATA_ROOT" && mount -t tmpfs -o size=24m gantry-test "$DATA_ROOT" && exec "$@"';
      const wrapper = ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', mount, 'sh'];
      [daemon, registry] = await Promise.all([startGantry({ wrapper, flags: ['--max-download-attempts', '2'] }), startFaultRegistry()]);
    });
    after(async () => {
      await daemon?.dispose();
      await registry?.close();
    });

    for (const [what, megabytes] of [
      ['the blob does not fit', 40],
      ['the blob fits, its files beside it do not', 14],
    ] as const) {
      test(`pull: ${what}: it is said, nothing is visible, and another image still fits`, async () => {
        const layers = [{ tar: layerTar({ path: 'big', content: noise(megabytes << 20, megabytes) }), packing: 'none' as const }];
        addImage(registry.content, `big-${megabytes}`, 'latest', { layers });
        addImage(registry.content, 'small', 'latest', { layers: [{ tar: layerTar({ path: 'small', content: noise(50_000, 3) }) }] });
        const { error } = await pull(daemon.host, `${registry.host}/big-${megabytes}:latest`);
        assert.match(error ?? 'it succeeded', /no space left on device/i);
        assert.match(error ?? '', /prune|free/i);
        assert.equal(await inspectImage(daemon.host, `${registry.host}/big-${megabytes}:latest`), null);
        assert.equal((await engineRequest(daemon.host, 'GET', '/_ping'))?.status, 200);
        // What was fetched may be gone on with; `image prune -a` gives its room back.
        const all = encodeURIComponent(JSON.stringify({ dangling: { false: true } }));
        const pruned = await engineRequest(daemon.host, 'POST', `/images/prune?filters=${all}`);
        assert.equal(pruned?.status, 200, pruned?.body ?? 'no answer');
        assert.deepEqual(
          [...(await imageTraces({ ...daemon, dataRoot: insideOf(daemon) })), ...partialBlobs({ ...daemon, dataRoot: insideOf(daemon) })],
          [],
        );
        assert.equal((await pull(daemon.host, `${registry.host}/small:latest`)).error, null);
        await removeImage(daemon.host, `${registry.host}/small:latest`);
      });
    }
  });

  test('of our server, in the middle of a push: 5xx, nothing is left, and a smaller blob is taken', async (context) => {
    const storage = mkdtempSync(join(tmpdir(), 'gantry-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'gantry-test', storage]);
    const registry = await startGantryRegistry({ storage });
    const client = new WireClient(registry.host);
    context.after(async () => {
      client.close();
      await registry.dispose();
      execFileSync('umount', [storage]);
      rmSync(storage, { recursive: true });
    });
    const [big, small] = [noise(20 << 20, 1), noise(1 << 20, 2)];
    for (const method of ['PUT', 'PATCH'] as const) {
      const begun = await client.expect([202], 'POST', '/v2/full/blobs/uploads/', Buffer.alloc(0));
      const { pathname, search } = new URL(String(begun.headers.location), 'http://x');
      const query = method === 'PUT' ? `${search === '' ? '?' : `${search}&`}digest=${digestOf(big)}` : search;
      const answer = await client.ask(method, `${pathname}${query}`, big, { 'Content-Type': 'application/octet-stream' });
      assert.ok(answer.status >= 500 && answer.status < 600, `${answer.status}`);
      assert.match(answer.body.toString(), /disk .*full|no space left/i);
      assert.equal(await client.hasBlob('full', digestOf(big)), false);
      await client.expect([204, 404], 'DELETE', pathname);
    }
    assert.equal(await client.pushBlob('full', small, 1), 'uploaded');
    assert.deepEqual(await client.blob('full', digestOf(small)), small);
    assert.equal(listOrEmpty(join(storage, 'blobs/sha256')).length, 1);
  });
});

/** The daemon's data root as it sees it. */
function insideOf({ pid, dataRoot }: GantryDaemon): string {
  return `/proc/${pid}/root${dataRoot}`;
}
