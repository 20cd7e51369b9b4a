/** What networks take of one host namespace: links, elements of our nft table, flows that the kernel tracks, and the descriptors of the daemon and its launcher. */
import { descriptorTargets, globalNameOf, launcherOf, residueOf } from '../faults/residue.ts';
import type { TwoHosts } from '../network/two-hosts.ts';

export interface NetworkFootprint {
  readonly links: readonly string[];
  /** Elements of sets and maps; the rules never change. */
  readonly elements: number;
  /** Of tracked flows, those that were translated to or from a container's address. */
  readonly flows: number;
  readonly namespaces: number;
  readonly descriptors: number;
  readonly launcherDescriptors: number;
}

export async function networkFootprint(world: TwoHosts): Promise<NetworkFootprint> {
  const { daemon } = world;
  const targets = descriptorTargets(daemon.pid);
  return {
    links: (await output(world, ['ip', '-o', 'link']))
      .split('\n')
      // Those made ahead of the next start change, and are no container's yet.
      .filter((line) => !/alias gantry\S* pool$/.test(line.trim()))
      .map((line) => line.split(': ')[1] ?? '')
      .filter((name) => name !== ''),
    elements: elementsIn(await output(world, ['nft', '-j', 'list', 'table', 'inet', globalNameOf(daemon)])),
    flows: Number(await output(world, ['cat', '/proc/sys/net/netfilter/nf_conntrack_count'])),
    namespaces: new Set(targets.filter((target) => target.startsWith('net:['))).size,
    descriptors: targets.length,
    launcherDescriptors: descriptorTargets(launcherOf(daemon)).length,
  };
}

/** Descriptors may breathe with the worker threads, tracked flows end in their own time: both may be that many more. */
const allowance = { descriptors: 15, flows: 40 } as const;

/** What grew, in words; empty is as it must be. */
export async function grownSince(world: TwoHosts, before: NetworkFootprint): Promise<readonly string[]> {
  const left = await residueOf(world.daemon);
  const now = await networkFootprint(world);
  const fresh = now.links.filter((name) => !before.links.includes(name));
  const grown = (['elements', 'namespaces', 'launcherDescriptors'] as const).filter((key) => now[key] > before[key]);
  const swollen = (['descriptors', 'flows'] as const).filter((key) => now[key] > before[key] + allowance[key]);
  return [
    ...left,
    ...fresh.map((name) => `link ${name}`),
    ...[...grown, ...swollen].map((key) => `${key}: ${before[key]} before, ${now[key]} now`),
  ];
}

export function footprintText(before: NetworkFootprint, after: NetworkFootprint): string {
  const change = (key: Exclude<keyof NetworkFootprint, 'links'>): string => `${before[key]} → ${after[key]}`;
  return [
    `links ${before.links.length} → ${after.links.length}`,
    `nft elements ${change('elements')}`,
    `tracked flows ${change('flows')}`,
    `daemon's descriptors ${change('descriptors')}`,
    `namespaces held ${change('namespaces')}`,
  ].join(', ');
}

function elementsIn(json: string): number {
  const { nftables = [] } = JSON.parse(json) as { nftables?: readonly Record<string, { readonly elem?: readonly unknown[] }>[] };
  return nftables.reduce((sum, object) => sum + ((object.set ?? object.map)?.elem?.length ?? 0), 0);
}

async function output(world: TwoHosts, argv: readonly [string, ...string[]]): Promise<string> {
  const { status, stdout, stderr } = await world.onHost(argv);
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return stdout.trim();
}
