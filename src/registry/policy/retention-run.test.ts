import assert from 'node:assert/strict';
import { it } from 'node:test';
import { readConfiguration } from '../configuration/registry-configuration.ts';
import type { RegistryRepository } from '../registry.ts';
import { blobOf, indexOf, type Material, manifestOf, tester } from '../testing/registry-material.ts';
import { startTestRegistry } from '../testing/test-registry.ts';
import { immutableRefusal } from './immutable-tags.ts';
import { Retention } from './retention-run.ts';

const { retention, immutableTags } = readConfiguration(
  JSON.stringify({
    immutableTags: [{ repository: 'a', tag: 'fixed' }],
    retention: { rules: [{ repository: 'a', keepLast: 0, keepTags: ['kept'] }] },
  }),
  'test',
);

async function push(repository: RegistryRepository, blobs: readonly Material[], manifest: Material, tag: string | null): Promise<void> {
  for (const { bytes, digest } of blobs) {
    const upload = await repository.beginUpload(tester);
    await upload.append([bytes] as unknown as AsyncIterable<Uint8Array>, 0);
    await upload.finish(digest, tester);
  }
  await repository.putManifest(tag ?? manifest.digest, '', manifest.bytes, tester);
}

it('Retention removes what its rule does not keep, and leaves tags that are pushed meanwhile, immutable ones, and other repositories', async () => {
  let running: Retention | null = null;
  await using test = await startTestRegistry({
    registry: {
      rules: {
        keepTag: (name, tag, from, to) => running?.guard(name, tag, from, to) ?? immutableRefusal(immutableTags, name, tag, from, to),
      },
    },
  });
  running = new Retention(test.registry);
  const [config, layer] = [blobOf('{}'), blobOf('layer')];
  const image = (text: string): Material => manifestOf(config, [layer], { annotations: { text } });
  const [a, b] = [test.registry.repository('a'), test.registry.repository('b')];
  const part = image('part');
  await push(a, [config, layer], part, null);
  await push(a, [], indexOf([part]), 'old');
  for (const tag of ['kept', 'fixed', 'again']) await push(a, [], image(tag), tag);
  await push(b, [config, layer], image('old'), 'old');
  const options = { rules: retention.rules, immutable: immutableTags };
  const listed: string[] = [];
  const dry = await running.run({ ...options, dryRun: true, onRemoval: ({ tag }) => listed.push(tag ?? 'manifest') });
  assert.deepEqual(
    [dry, listed.sort()],
    [{ repositories: 1, tags: 2, manifests: 3 }, ['again', 'manifest', 'manifest', 'manifest', 'old']],
  );
  // Pushed anew between the choice and its turn.
  let pushing: Promise<void> | null = null;
  test.registry.onEvent(({ action }) => {
    if (action === 'tag-delete') pushing ??= push(a, [], image('new'), 'again').then(() => push(a, [], image('newer'), 'old'));
  });
  await running.run(options);
  await pushing;
  const { entries } = await a.tags({ after: null, limit: 100 });
  assert.ok(
    entries.includes('kept') && entries.includes('fixed') && (entries.includes('again') || entries.includes('old')),
    entries.join(),
  );
  const named = new Set(a.manifests().map(({ digest }) => digest));
  for (const tag of entries) assert.ok(named.has(a.tag(tag)?.digest ?? ('' as never)), `${tag} names a manifest that is there`);
  assert.deepEqual((await b.tags({ after: null, limit: 100 })).entries, ['old']);
});
