/** Registries: pulls that are cut, a registry that stalls, a crowd of clients beside the garbage collection, with and without a server that is killed. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { encodeTarHeader } from '../../src/archive/tar-writer.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { randomFrom } from '../faults/crash-round.ts';
import { engineRequest } from '../faults/engine-request.ts';
import { footprintOf } from '../faults/residue.ts';
import { runCommand } from '../harness/command.ts';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { type GantryRegistry, startGantryRegistry } from '../harness/gantry-registry.ts';
import { addImage, layerTar, noise } from '../harness/registry-images.ts';
import { type Cut, cutPull } from '../registry/cut-pull.ts';
import { imageTraces, inspectImage, pull } from '../registry/engine-images.ts';
import { Crowd, crowdText } from '../registry/many-clients.ts';

const cuts: readonly Cut[] = ['comes back', 'gives up', 'daemon killed'];

export async function pullsCut(points: number, failures: string[]): Promise<string> {
  return await withRegistry(async (daemon, registry) => {
    let [served, total, kept] = [0, 0, 0];
    for (let point = 0; point < points; point++) {
      const cut = cuts[point % cuts.length] ?? 'gives up';
      try {
        const figures = await cutPull(daemon, registry, 10_000 + point, cut);
        served += figures.servedBytes;
        total += figures.totalBytes;
        kept += figures.keptBytes;
      } catch (thrown) {
        failures.push(`point ${point} (${cut}): ${thrown instanceof Error ? thrown.message : String(thrown)}`);
        registry.restore();
      }
    }
    const percent = (((served - total) / total) * 100).toFixed(1);
    return `${(total / 1e6).toFixed(0)} MB of images, ${(kept / 1e6).toFixed(0)} MB found again on the disk, ${percent} % fetched besides (on its way when cut)`;
  });
}

/** Longer than the client waits for a byte. */
export async function stalledPull(): Promise<string> {
  return await withRegistry(async (daemon, registry) => {
    const image = addImage(registry.content, 'stalls', 'latest', {
      layers: [{ tar: layerTar({ path: 'file', content: noise(1_000_000, 7) }), packing: 'none' }],
    });
    const stall = registry.plan({ kind: 'blob', path: new RegExp(image.layers[0]?.digest ?? '') }, { kind: 'stall', atByte: 400_000 });
    const started = Date.now();
    assert.equal((await pull(daemon.host, `${registry.host}/stalls:latest`)).error, null);
    assert.equal(stall.met, 1);
    const starts = registry.requests.filter(({ digest }) => digest === image.layers[0]?.digest).map(({ startsAt }) => startsAt);
    assert.deepEqual(starts, [0, 400_000]);
    return `given up and gone on with after ${Math.round((Date.now() - started) / 1000)} s`;
  });
}

/** SEC-06: ten gigabytes of zeros in ten megabytes. */
export async function zerosPulled(): Promise<string> {
  return await withRegistry(async (daemon, registry) => {
    const bytes = 10 * 2 ** 30;
    const piece = gzipSync(Buffer.alloc(64 << 20));
    const header = gzipSync(encodeTarHeader({ type: 'file', path: 'zeros', sizeBytes: bytes }));
    // Members of gzip one behind the other are one stream.
    const packed = Buffer.concat([header, ...Array.from({ length: bytes / (64 << 20) }, () => piece)]);
    const config = {
      os: 'linux',
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      rootfs: { type: 'layers', diff_ids: [digestOf('zeros')] },
    };
    registry.content.addManifest('zeros', 'latest', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: registry.content.addBlob(Buffer.from(JSON.stringify(config)), 'application/vnd.oci.image.config.v1+json'),
      layers: [registry.content.addBlob(packed, 'application/vnd.oci.image.layer.v1.tar+gzip')],
    });
    const before = footprintOf(daemon.pid).residentKb;
    const pulling = pull(daemon.host, `${registry.host}/zeros:latest`);
    const seen = await watched(daemon, pulling);
    const { error } = await pulling;
    assert.match(error ?? 'it succeeded', /times|ratio|limit|more than/i);
    assert.ok(seen.residentKb - before < 256 * 1024, `${seen.residentKb - before} KB more memory`);
    assert.equal(await inspectImage(daemon.host, `${registry.host}/zeros:latest`), null);
    assert.deepEqual(await imageTraces(daemon, 60_000), []);
    return `refused (${error?.slice(0, 90)}…); ${((seen.residentKb - before) / 1024).toFixed(0)} MB more memory, slowest ping ${seen.slowestPingMs.toFixed(0)} ms`;
  });
}

/** An image of 170 MB that does not compress: the event loop stays free. */
export async function pingWhilePulling(failures: string[], limitMs: number): Promise<string> {
  return await withRegistry(async (daemon, registry) => {
    const layers = [1, 2, 3].map((seed) => ({ tar: layerTar({ path: `file-${seed}`, content: noise(57_000_000, seed) }) }));
    addImage(registry.content, 'big', 'latest', { layers });
    const before = footprintOf(daemon.pid).residentKb;
    const pulling = pull(daemon.host, `${registry.host}/big:latest`);
    const seen = await watched(daemon, pulling);
    assert.equal((await pulling).error, null);
    const text = `${seen.pings} pings: median ${seen.medianPingMs.toFixed(1)} ms, p99 ${seen.p99PingMs.toFixed(1)} ms, slowest ${seen.slowestPingMs.toFixed(1)} ms; ${((seen.residentKb - before) / 1024).toFixed(0)} MB more memory`;
    if (seen.p99PingMs > limitMs) failures.push(`p99 over ${limitMs} ms: ${text}`);
    return text;
  });
}

interface Watched {
  readonly pings: number;
  readonly medianPingMs: number;
  readonly p99PingMs: number;
  readonly slowestPingMs: number;
  readonly residentKb: number;
}

async function watched(daemon: GantryDaemon, work: Promise<unknown>): Promise<Watched> {
  const times: number[] = [];
  let residentKb = 0;
  let isOver = false;
  void work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const start = performance.now();
    assert.equal((await engineRequest(daemon.host, 'GET', '/_ping'))?.status, 200);
    times.push(performance.now() - start);
    residentKb = Math.max(residentKb, footprintOf(daemon.pid).residentKb);
    await delay(10);
  }
  times.sort((one, other) => one - other);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { pings: times.length, medianPingMs: at(0.5), p99PingMs: at(0.99), slowestPingMs: at(1), residentKb };
}

const graceMs = 5000;

export async function crowdBesideCollection(clients: number, operations: number): Promise<string> {
  return await withServer(async (registry) => {
    const crowd = new Crowd({ host: registry.host, clients, operations, seed: 11, graceMs });
    await crowd.run();
    return `${crowdText(crowd.figures)}; ${await wholeAfterwards(registry, crowd)}`;
  });
}

/** Killed every few seconds at a random moment, and started again at once. */
export async function crowdBesideKills(clients: number, operations: number, kills: number): Promise<string> {
  return await withServer(async (registry) => {
    const crowd = new Crowd({ host: registry.host, clients, operations, seed: 12, graceMs, dies: true });
    const random = randomFrom(12);
    let isOver = false;
    let killed = 0;
    const running = crowd.run().finally(() => {
      isOver = true;
    });
    const killing = (async () => {
      for (; killed < kills && !isOver; killed++) {
        await delay(500 + random() * 3000);
        await registry.crash();
        await registry.restart();
      }
    })();
    await Promise.all([running, killing]);
    return `${killed} kills; ${crowdText(crowd.figures)}; ${await wholeAfterwards(registry, crowd)}`;
  });
}

/** All that was acknowledged is there, before and after everything older than the grace was collected, and the server finds nothing wrong. */
async function wholeAfterwards(registry: GantryRegistry, crowd: Crowd): Promise<string> {
  const kept = await crowd.checkAll();
  await delay(graceMs + 1000);
  assert.equal(await crowd.checkAll(), kept);
  await registry.stop();
  const checked = await runCommand(
    [process.execPath, '--no-warnings', 'src/main/main.ts', 'registry', 'check', '--root', registry.storage],
    {
      cwd: new URL('../..', import.meta.url).pathname,
      timeoutMs: 300_000,
    },
  );
  assert.equal(checked.status, 0, `registry check: ${checked.stdout} ${checked.stderr}`);
  return `${kept} images there in the end, registry check finds nothing`;
}

async function withServer(work: (registry: GantryRegistry) => Promise<string>): Promise<string> {
  const registry = await startGantryRegistry({ configuration: { garbageCollection: { interval: '500ms', grace: `${graceMs}ms` } } });
  try {
    return await work(registry);
  } finally {
    await registry.dispose();
  }
}

async function withRegistry(work: (daemon: GantryDaemon, registry: FaultRegistry) => Promise<string>): Promise<string> {
  const [daemon, registry] = await Promise.all([startGantry({ flags: ['--max-download-attempts', '2'] }), startFaultRegistry()]);
  try {
    return await work(daemon, registry);
  } finally {
    await daemon.dispose();
    await registry.close();
  }
}
