/**
 * The registry server against Debian's docker-registry, both on loopback with the same content: requests for a manifest (wrk), bytes of a 100 MB blob (wrk), and pushes of
 * a 100 MB blob (curl). The load generator shares the machine with them.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../src/base/brand.ts';
import { digestOf } from '../src/oci/digest.ts';
import { runCommand } from '../test/harness/command.ts';
import { RegistryContent } from '../test/harness/fault-registry/registry-content.ts';
import { startGantryRegistry } from '../test/harness/gantry-registry.ts';
import { addImage, layerTar, noise } from '../test/harness/registry-images.ts';
import { debianRegistryMissing, type RegistryProcess, startDebianRegistry } from '../test/harness/registry-process.ts';
import { readOrEmpty } from '../test/harness/tolerant-read.ts';
import { compare, median, record, selected, succeed } from './measure.ts';

type Side = 'ours' | 'peer';
type Servers = Readonly<Record<Side, RegistryProcess>>;

const sides: readonly Side[] = ['ours', 'peer'];
const rounds = 5;
const blobBytes = 100_000_000;
const names = {
  manifest: 'registry: GET of a manifest, 16 connections',
  blob: 'registry: GET of a 100 MB blob, 4 connections',
  push: 'registry: push of a 100 MB blob',
  memory: 'registry: memory after all that',
} as const;

export const registryRowNames = Object.values(names);

export async function registryRows(): Promise<void> {
  if (!registryRowNames.some(selected)) return;
  const missing = debianRegistryMissing() ?? (existsSync('/usr/bin/wrk') ? null : 'needs wrk (apt-get install wrk)');
  if (missing !== null) return console.error(`registry rows: ${missing}`);
  const content = new RegistryContent();
  const layers = [{ tar: layerTar({ path: 'file', content: noise(blobBytes, 1) }), packing: 'none' as const }];
  const image = addImage(content, 'bench/image', 'latest', { layers });
  const blob = image.layers[0]?.digest ?? image.config.digest;
  const [ours, peer] = await Promise.all([startGantryRegistry({ content, bundled: true }), startDebianRegistry({ content })]);
  const servers = { ours, peer };
  try {
    const manifestPath = '/v2/bench/image/manifests/latest';
    const accept = ['-H', `Accept: ${image.manifest.mediaType}`] as const;
    await rate(names.manifest, 'requests/s', servers, ({ url }) =>
      wrk([...accept, '-c16', `${url}${manifestPath}`]).then(({ requests }) => requests),
    );
    await rate(names.blob, 'MB/s', servers, ({ url }) =>
      wrk(['-c4', `${url}/v2/bench/image/blobs/${blob}`]).then(({ megabytes }) => megabytes),
    );
    await pushes(servers);
    if (selected(names.memory)) record(names.memory, { unit: 'MB', ours: resident(ours), peer: resident(peer), samples: 1 });
  } finally {
    await ours.dispose();
    await peer.dispose();
  }
}

async function rate(name: string, unit: string, servers: Servers, measure: (server: RegistryProcess) => Promise<number>): Promise<void> {
  if (!selected(name)) return;
  const values: Record<Side, number[]> = { ours: [], peer: [] };
  for (let round = -1; round < rounds; round++) {
    for (const side of sides) {
      const value = await measure(servers[side]);
      if (round >= 0) values[side].push(value);
    }
  }
  record(name, { unit, ours: median(values.ours), peer: median(values.peer), samples: rounds, rate: true });
}

interface WrkFigures {
  readonly requests: number;
  readonly megabytes: number;
}

async function wrk(args: readonly string[]): Promise<WrkFigures> {
  const said = await succeed(['wrk', '-t1', '-d3s', ...args]);
  const wrong = /Non-2xx or 3xx responses: (\d+)/.exec(said);
  if (wrong !== null) throw new Error(`wrk: ${said}`);
  const [, amount = '0', unit = 'B'] = /Transfer\/sec:\s+([\d.]+)([KMG]?B)/.exec(said) ?? [];
  const factor = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }[unit] ?? 1;
  return { requests: Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1] ?? 0), megabytes: (Number(amount) * factor) / 1e6 };
}

/** A new blob each time. */
async function pushes(servers: Servers): Promise<void> {
  if (!selected(names.push)) return;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-push-'));
  const file = join(directory, 'blob');
  let digest = '' as Digest;
  let seed = 100;
  const push = async ({ url }: RegistryProcess): Promise<void> => {
    const begun = await runCommand(['curl', '-sfi', '-X', 'POST', `${url}/v2/bench/pushed/blobs/uploads/`]);
    const location = new URL(/^location: (\S+)/im.exec(begun.stdout)?.[1] ?? '', url);
    location.searchParams.set('digest', digest);
    await succeed(['curl', '-sf', '-X', 'PUT', '-H', 'Content-Type: application/octet-stream', '-T', file, location.href]);
  };
  try {
    await compare(names.push, null, rounds, {
      ours: () => push(servers.ours),
      peer: () => push(servers.peer),
      prepare: async () => {
        const bytes = noise(blobBytes, seed++);
        digest = digestOf(bytes);
        writeFileSync(file, bytes);
      },
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function resident({ pid }: RegistryProcess): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}
