/**
 * A registry that is killed at each step of a push and of a collection: what was acknowledged is there, what was not is there or isn't, but never by half, and nothing is
 * left over that the next collection does not take.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { registryFailpoints } from '../../src/base/failpoints.ts';
import { createRegistry } from '../../src/registry/create-registry.ts';
import type { RegistryFinding } from '../../src/registry/registry.ts';
import { registryMigrations } from '../../src/registry/registry-migrations.ts';
import { blobOf, type Material, manifestOf, pushBlob, putManifest, tester } from '../../src/registry/testing/registry-material.ts';
import { createBlobStore } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createLeases } from '../../src/store/leases.ts';

async function start(folder: string, failpoint: string | null) {
  const child = spawn(process.execPath, ['--no-warnings', join(import.meta.dirname, 'crash-server.ts'), folder], {
    env: { ...process.env, GANTRY_FAILPOINT: failpoint ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [origin] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, exited, origin };
}

async function open(folder: string) {
  const blobs = await createBlobStore({ root: join(folder, 'blobs') });
  const database = await openDatabase(join(folder, 'registry.db'), { migrations: registryMigrations });
  const registry = await createRegistry({ database, blobs, leases: createLeases(), root: folder, graceMs: 0, uploadPatienceMs: -1 });
  return {
    registry,
    blobs,
    async [Symbol.asyncDispose]() {
      await registry.close();
      await blobs.close();
    },
  };
}

/** An image that nothing of all this may touch, and garbage for the collection. */
async function seed(folder: string) {
  await using opened = await open(folder);
  const [config, layer] = [blobOf('{"kept":true}'), blobOf('layer of kept')];
  for (const [repository, blob] of [
    ['kept', config],
    ['kept', layer],
    ['garbage', blobOf('garbage')],
  ] as const) {
    const upload = await opened.registry.repository(repository).beginUpload(tester);
    await upload.append(Readable.from([blob.bytes]), 0);
    await upload.finish(blob.digest, tester);
  }
  const image = manifestOf(config, [layer]);
  await opened.registry.repository('kept').putManifest('v1', '', image.bytes, tester);
  return { digest: image.digest, names: [config.digest, layer.digest] };
}

/** Settles when the request does or the server is dead, whichever comes first. */
async function tries(work: Promise<unknown>): Promise<boolean> {
  return await work.then(
    () => true,
    () => false,
  );
}

for (const failpoint of registryFailpoints) {
  test(`a registry killed at ${failpoint} loses nothing that it acknowledged and keeps nothing by half`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-crash-'));
    try {
      const kept = await seed(folder);
      const { child, exited, origin } = await start(folder, failpoint);
      const [config, layer] = [blobOf('{"crash":true}'), blobOf(`layer ${failpoint}`)];
      const image = manifestOf(config, [layer]);
      const acknowledged: Material[] = [];
      for (const blob of [config, layer]) if (await tries(pushBlob(origin, 'crash', blob))) acknowledged.push(blob);
      const pushed = await tries(putManifest(origin, 'crash', 'v1', image));
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGUSR2');
      assert.equal((await exited)[1], 'SIGKILL', 'the failpoint was reached');

      await using found = await open(folder);
      const repository = found.registry.repository('crash');
      for (const { digest } of acknowledged) assert.ok(await repository.blob(digest), 'an acknowledged blob');
      const findings: RegistryFinding[] = [];
      await found.registry.check((finding) => findings.push(finding));
      await found.registry.collectGarbage();
      assert.deepEqual([findings, await readdir(join(folder, 'uploads'))], [[], []]);
      const manifest = await repository.manifest('v1');
      assert.ok(manifest !== null || !pushed || failpoint === 'registry.manifest-recorded', 'an acknowledged manifest');
      if (manifest !== null) for (const blob of [config, layer]) assert.ok(await found.blobs.verify(blob.digest));
      assert.deepEqual((await found.registry.repository('kept').manifest('v1'))?.digest, kept.digest);
      const needed = [...kept.names, ...(manifest === null ? [] : [config, layer].map(({ digest }) => digest))];
      assert.deepEqual((await found.blobs.list()).toSorted(), [...new Set(needed)].toSorted());
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}
