/**
 * The nodes of the driver, by which programs reach it. Those that are not there yet (nobody has run nvidia-modprobe, nothing has used a GPU since the start) are
 * described by their numbers: a container's node is made from the description, so that nothing has to be made or run on the host.
 */
import type { CdiDeviceNode } from '../cdi/cdi-spec.ts';
import { describedNode } from '../drm-nodes.ts';
import type { HostTree } from '../host-tree.ts';
import type { Capability } from './library-kinds.ts';
import type { NodeMajors } from './proc-facts.ts';

/** Fixed by the driver. */
const nvidiaMajor = 195;

export interface DriverNode {
  readonly node: CdiDeviceNode;
  /** Who needs it; null: everybody. */
  readonly uses: readonly Capability[] | null;
}

export interface ControlNodes {
  readonly nodes: readonly DriverNode[];
  readonly problems: readonly string[];
}

/** Those that do not belong to one GPU. */
export async function controlNodes(devices: HostTree, majors: NodeMajors): Promise<ControlNodes> {
  const nvidia = majors.nvidia ?? nvidiaMajor;
  const compute: readonly Capability[] = ['compute', 'video'];
  const found = await Promise.all([
    nodeAt(devices, '/dev/nvidiactl', nvidia, 255).then((node) => ({ node, uses: null })),
    nodeAt(devices, '/dev/nvidia-modeset', nvidia, 254).then((node) => ({ node, uses: ['graphics', 'display'] as const })),
    nodeAt(devices, '/dev/nvidia-uvm', majors.uvm, 0).then((node) => ({ node, uses: compute })),
    nodeAt(devices, '/dev/nvidia-uvm-tools', majors.uvm, 1).then((node) => ({ node, uses: compute })),
  ]);
  const nodes = found.flatMap(({ node, uses }) => (node === null ? [] : [{ node, uses }]));
  const uvm = nodes.some(({ node }) => node.path === '/dev/nvidia-uvm');
  const missing =
    'the kernel module nvidia-uvm is not loaded (there is no /dev/nvidia-uvm): CUDA cannot start; load it with modprobe nvidia-uvm';
  return { nodes, problems: uvm ? [] : [missing] };
}

export async function gpuNode(devices: HostTree, majors: NodeMajors, minor: number): Promise<CdiDeviceNode> {
  const path = `/dev/nvidia${minor}`;
  return (await existingNode(devices, path)) ?? numberedNode(path, majors.nvidia ?? nvidiaMajor, minor);
}

/** Of a part; null: the module has no such nodes (drivers before 450), or is not loaded with them. */
export async function capabilityNode(devices: HostTree, majors: NodeMajors, minor: number): Promise<CdiDeviceNode | null> {
  return await nodeAt(devices, `/dev/nvidia-caps/nvidia-cap${minor}`, majors.caps, minor, 0o444);
}

/** Null: it is not there, and its number is not known. */
async function nodeAt(devices: HostTree, path: string, major: number | null, minor: number, mode = 0o666): Promise<CdiDeviceNode | null> {
  return (await existingNode(devices, path)) ?? (major === null ? null : numberedNode(path, major, minor, mode));
}

async function existingNode(devices: HostTree, path: string): Promise<CdiDeviceNode | null> {
  return (await devices.stat(path))?.isCharacterDevice() === true ? describedNode(devices, path) : null;
}

function numberedNode(path: string, major: number, minor: number, fileMode = 0o666): CdiDeviceNode {
  return { path, type: 'c', major, minor, fileMode, permissions: 'rw', uid: 0, gid: 0 };
}
