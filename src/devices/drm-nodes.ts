/** The nodes that the kernel's graphics part (DRM) has for a GPU: /dev/dri/card1, /dev/dri/renderD128, their names by PCI address, and how they are described. */
import type { Stats } from 'node:fs';
import { posix } from 'node:path';
import type { CdiDeviceNode, CdiEdits } from './cdi/cdi-spec.ts';
import type { DeviceLink } from './device-edits.ts';
import type { HostTree } from './host-tree.ts';
import { linkHooks } from './own-hooks.ts';

export interface DrmNodes {
  /** Those that are there. */
  readonly paths: readonly string[];
  /** /dev/dri/by-path/… to them. */
  readonly links: readonly DeviceLink[];
  /** Groups that may use them, where not everybody may. */
  readonly gids: readonly number[];
}

export const noDrmNodes: DrmNodes = { paths: [], links: [], gids: [] };

/** `device`: its directory in sysfs. */
export async function drmNodesOf(devices: HostTree, device: string, pciAddress: string): Promise<DrmNodes> {
  const names = (await devices.names(`${device}/drm`)).filter((name) => /^(card|renderD)\d+$/.test(name));
  const found = await Promise.all(names.map(async (name) => ({ path: `/dev/dri/${name}`, stats: await devices.stat(`/dev/dri/${name}`) })));
  const there = found.filter(({ stats }) => stats !== null);
  const gids = there.flatMap(({ stats }) => groupOf(stats));
  const paths = there.map(({ path }) => path);
  return { paths, links: await linksTo(devices, paths, pciAddress), gids: [...new Set(gids)].sort((one, other) => one - other) };
}

/** The group that may use a node, unless everybody or root alone may. */
export function groupOf(stats: Stats | null): readonly number[] {
  return stats !== null && stats.gid !== 0 && (stats.mode & 0o006) !== 0o006 ? [stats.gid] : [];
}

async function linksTo(devices: HostTree, paths: readonly string[], pciAddress: string): Promise<readonly DeviceLink[]> {
  const folder = '/dev/dri/by-path';
  const links = ['card', 'render'].map(async (kind) => {
    const path = `${folder}/pci-${pciAddress}-${kind}`;
    const target = await devices.linkText(path);
    return target !== null && paths.includes(posix.resolve(folder, target)) ? [{ path, target }] : [];
  });
  return (await Promise.all(links)).flat();
}

export interface DrmDevice {
  /** Its directory in sysfs. */
  readonly path: string;
  readonly pciAddress: string;
}

/** PCI devices with DRM nodes that are of this vendor (`0x8086`), by address. */
export async function drmDevicesOf(devices: HostTree, vendor: string): Promise<readonly DrmDevice[]> {
  const names = (await devices.names('/sys/class/drm')).filter((name) => /^(card|renderD)\d+$/.test(name));
  const found = names.map(async (name) => {
    const path = await devices.resolve(`/sys/class/drm/${name}/device`);
    if (path === null || (await devices.text(`${path}/vendor`))?.trim() !== vendor) return [];
    const pciAddress = posix.basename(path);
    return /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(pciAddress) ? [{ path, pciAddress }] : [];
  });
  const distinct = new Map((await Promise.all(found)).flat().map((device) => [device.pciAddress, device]));
  return [...distinct.values()].sort((one, other) => (one.pciAddress < other.pciAddress ? -1 : 1));
}

/** As a part of a description: nodes, links to them, and the groups that may use them. */
export function drmEdits(devices: HostTree, { paths, links, gids }: DrmNodes, program: string): CdiEdits {
  const hooks = linkHooks(program, links);
  return {
    deviceNodes: paths.map((path) => describedNode(devices, path)),
    ...(hooks.length === 0 ? {} : { hooks }),
    ...(gids.length === 0 ? {} : { additionalGids: gids }),
  };
}

/** Which numbers it has is looked up when a container gets it: they may change when the driver is loaded anew. */
export function describedNode(devices: HostTree, path: string): CdiDeviceNode {
  return devices.root === '/' ? { path, permissions: 'rw' } : { path, hostPath: devices.hostPath(path), permissions: 'rw' };
}

/** Of several devices in one. */
export function mergeEdits(all: readonly CdiEdits[]): CdiEdits {
  const gids = [...new Set(all.flatMap(({ additionalGids = [] }) => additionalGids))].sort((one, other) => one - other);
  const hooks = all.flatMap((each) => each.hooks ?? []);
  return {
    deviceNodes: distinctNodes(all.flatMap(({ deviceNodes = [] }) => deviceNodes)),
    ...(hooks.length === 0 ? {} : { hooks }),
    ...(gids.length === 0 ? {} : { additionalGids: gids }),
  };
}

export function distinctNodes(nodes: readonly CdiDeviceNode[]): readonly CdiDeviceNode[] {
  return [...new Map(nodes.map((node) => [node.path, node])).values()];
}
