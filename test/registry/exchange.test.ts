/**
 * Images between clients over two servers, ours and Debian's docker-registry: what skopeo, the docker CLI through the peer engine and our daemon push, each of them
 * pulls, equal by digest. Needs root, docker-registry, skopeo and the peer (docker.io).
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { RegistryContent } from '../harness/fault-registry/registry-content.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { startGantryRegistry } from '../harness/gantry-registry.ts';
import { type NetworkDoor, openNetworkDoor } from '../harness/network-door.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';
import {
  addImage,
  addMultiPlatform,
  attributeLayers,
  busyboxLayer,
  hugeFileLayer,
  type MadeImage,
  noiseLayers,
  whiteoutLayers,
} from '../harness/registry-images.ts';
import { debianRegistryMissing, type RegistryProcess, startDebianRegistry } from '../harness/registry-process.ts';
import { removeImage } from './engine-images.ts';
import { dockerClient, gantryClient, type RegistryClientUnderTest, skopeoClient, succeed } from './registry-clients.ts';

const skopeoMissing = existsSync('/usr/bin/skopeo') ? null : 'needs skopeo (apt-get install skopeo)';
const skip = peerMissing() ?? debianRegistryMissing() ?? skopeoMissing ?? false;

describe('one image, many clients', { skip }, () => {
  const content = new RegistryContent();
  const images: Record<string, MadeImage> = {};
  let peer: Peer;
  let daemon: GantryDaemon;
  let clients: readonly RegistryClientUnderTest[] = [];
  let multi: ReturnType<typeof addMultiPlatform>;
  let nested: ReturnType<typeof addMultiPlatform>;

  before(async () => {
    images.rich = addImage(content, 'seed/rich', 'latest', {
      layers: [busyboxLayer(), ...whiteoutLayers(50), ...attributeLayers(), hugeFileLayer(8 << 20)],
      flavour: 'docker',
    });
    images.many = addImage(content, 'seed/many', 'latest', { layers: noiseLayers(40, 10_000), flavour: 'docker' });
    multi = addMultiPlatform(content, 'seed/multi', 'latest');
    nested = addMultiPlatform(content, 'seed/multi', 'nested', { nested: true });
    addImage(content, 'seed/zstd', 'latest', { layers: [busyboxLayer(), ...noiseLayers(2, 20_000)], packing: 'zstd' });
    [peer, daemon] = await Promise.all([startPeer(), startGantry()]);
    clients = [skopeoClient(), dockerClient('peer', peer.host), gantryClient(daemon.host)];
  });
  after(async () => {
    for (const client of clients) client.dispose();
    await daemon?.dispose();
    await peer?.stop();
  });

  for (const [name, start] of [
    ['docker-registry', startDebianRegistry],
    ['gantry registry', startGantryRegistry],
  ] as const) {
    describe(name, () => {
      let registry: RegistryProcess;
      let door: NetworkDoor;
      before(async () => {
        registry = await start({ content });
        door = await openNetworkDoor(peer.pids()[0] ?? -1, registry.host);
      });
      after(async () => {
        await door?.close();
        await registry?.dispose();
      });

      const testOfOurs = name === 'gantry registry' ? test : () => undefined;
      /** Between foreign clients over a foreign server there is nothing of ours. */
      const isOurs = (...pair: readonly RegistryClientUnderTest[]): boolean =>
        name === 'gantry registry' || pair.some((client) => client.name === 'gantry');

      test('pushed by each client, pulled by the others, equal by digest', async () => {
        const { config } = images.rich as MadeImage;
        const seed = `${registry.host}/seed/rich:latest`;
        for (const client of clients) {
          assert.equal(await client.pull(seed), config.digest, `${client.name} pulls what was made by hand`);
          const digest = await client.push(seed, `${registry.host}/from-${client.name}/rich:latest`);
          assert.equal(await remoteDigest(registry, `from-${client.name}/rich`, 'latest'), digest);
        }
        for (const pusher of clients) {
          const from = `${registry.host}/from-${pusher.name}/rich:latest`;
          // What an engine knows it would not fetch.
          await forget();
          for (const puller of clients.filter((one) => one !== pusher && isOurs(one, pusher)))
            assert.equal(await puller.pull(from), config.digest, `${puller.name} pulls what ${pusher.name} pushed`);
        }
      });

      test('our daemon pushes the bytes that it pulled: the same manifest', async () => {
        const seed = `${registry.host}/seed/rich:latest`;
        const ours = gantryClient(daemon.host);
        await ours.pull(seed);
        assert.equal(await ours.push(seed, `${registry.host}/again/rich:latest`), images.rich?.manifest.digest);
        await forget();
      });

      testOfOurs('files, owners, modes and whiteouts are the same in both engines', async () => {
        const reference = `${registry.host}/from-peer/rich:latest`;
        const script =
          'find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /etc \\) -prune -o -print | sort | while read f; do stat -c "%n %a %u %g %F %h" "$f"; done';
        const shown = await Promise.all(
          [peer.host, daemon.host].map((host) =>
            succeed('docker', '-H', host, 'run', '--rm', '--network', 'none', reference, 'sh', '-c', script),
          ),
        );
        const files = shown.map((text) => text.split('\n').filter((line) => !/ directory \d+$/.test(line)));
        assert.ok((files[0]?.length ?? 0) > 40);
        assert.deepEqual(files[1], files[0]);
        await forget();
      });

      testOfOurs('zstd layers', async () => {
        const reference = `${registry.host}/seed/zstd:latest`;
        const text = await succeed(
          'docker',
          '-H',
          daemon.host,
          'run',
          '--rm',
          '--network',
          'none',
          reference,
          'cat',
          '/bin/busybox',
          '/layer-1',
        ).then((out) => out.length);
        assert.ok(text > 1000);
        await removeImage(daemon.host, reference);
      });

      test('an index: each engine takes its own platform, skopeo --all takes all, unchanged', async () => {
        for (const [
          tag,
          {
            index,
            images: [own],
          },
        ] of [
          ['latest', multi],
          ['nested', nested],
        ] as const) {
          const reference = `${registry.host}/seed/multi:${tag}`;
          // The peer does not look into an index within an index.
          for (const client of clients.slice(tag === 'nested' || name === 'docker-registry' ? 2 : 1))
            assert.equal(await client.pull(reference), own?.config.digest, client.name);
          const all = ['copy', '--all', '--src-tls-verify=false', '--dest-tls-verify=false'] as const;
          if (tag === 'latest') {
            await succeed('skopeo', ...all, `docker://${reference}`, `docker://${registry.host}/all/multi:${tag}`);
            assert.equal(await remoteDigest(registry, 'all/multi', tag), index.digest);
          }
          await forget();
        }
      });

      testOfOurs('skopeo inspect, list-tags and sync', async () => {
        const inspected = JSON.parse(
          await succeed('skopeo', 'inspect', '--tls-verify=false', `docker://${registry.host}/seed/rich:latest`),
        ) as {
          Digest: string;
          Layers: string[];
        };
        assert.equal(inspected.Digest, images.rich?.manifest.digest);
        assert.deepEqual(
          inspected.Layers,
          images.rich?.layers.map(({ digest }) => digest),
        );
        const tags = JSON.parse(await succeed('skopeo', 'list-tags', '--tls-verify=false', `docker://${registry.host}/seed/multi`)) as {
          Tags: string[];
        };
        assert.deepEqual([...tags.Tags].sort(), ['latest', 'nested']);
        await succeed(
          'skopeo',
          'sync',
          '--src-tls-verify=false',
          '--dest-tls-verify=false',
          '--src',
          'docker',
          '--dest',
          'docker',
          `${registry.host}/seed/many`,
          `${registry.host}/synced`,
        );
        assert.equal(await remoteDigest(registry, 'synced/many', 'latest'), images.many?.manifest.digest);
      });
    });
  }

  async function remoteDigest({ url }: RegistryProcess, repository: string, reference: string): Promise<string | null> {
    const accept = Object.values(acceptable).join(', ');
    const answer = await fetch(`${url}/v2/${repository}/manifests/${reference}`, { method: 'HEAD', headers: { Accept: accept } });
    return answer.headers.get('docker-content-digest');
  }

  /** From the engines, so that the next pull is a real one. */
  async function forget(): Promise<void> {
    for (const host of [peer.host, daemon.host]) {
      const ids = await succeed('docker', '-H', host, 'image', 'ls', '-q', '--no-trunc');
      if (ids !== '') await succeed('docker', '-H', host, 'image', 'rm', '-f', ...new Set(ids.split('\n')));
    }
  }
});

const acceptable = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
};
