/** The description (CDI) of this machine's NVIDIA GPUs: what every container with one gets, and what each GPU and each of its parts adds. */
import { posix } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import type { CdiDevice, CdiDeviceNode, CdiEdits, CdiMount, CdiSpec } from '../cdi/cdi-spec.ts';
import type { DeviceLink } from '../device-edits.ts';
import { distinctNodes, mergeEdits } from '../drm-nodes.ts';
import type { HostTree } from '../host-tree.ts';
import { compatHooks, linkHooks, loaderHooks } from '../own-hooks.ts';
import type { DriverFile } from './driver-files.ts';
import type { DriverLibrary, FoundLibraries } from './driver-libraries.ts';
import type { DriverNode } from './driver-nodes.ts';
import { allCapabilities, isWanted } from './library-kinds.ts';

export const nvidiaKind = 'nvidia.com/gpu';

/** Everything that a look found. */
export interface NvidiaFacts {
  readonly version: string;
  /** Whether CUDA libraries newer than the driver may run on these GPUs. */
  readonly forwardCompatible: boolean;
  readonly gpus: readonly DescribedGpu[];
  readonly control: readonly DriverNode[];
  readonly libraries: FoundLibraries;
  readonly files: readonly DriverFile[];
  readonly driver: HostTree;
  /** The path of this program in hooks. */
  readonly program: string;
}

export interface DescribedGpu {
  readonly names: readonly string[];
  readonly node: CdiDeviceNode;
  /** What graphics needs of it. */
  readonly drm: CdiEdits;
  readonly parts: readonly { readonly names: readonly string[]; readonly nodes: readonly CdiDeviceNode[] }[];
}

/** Null: everything but 32-bit libraries. */
export function describeNvidia(facts: NvidiaFacts, asked: ReadonlySet<string> | null): CdiSpec {
  const capabilities =
    asked === null || asked.has('all') ? new Set([...allCapabilities, ...(asked?.has('all') === true ? ['compat32'] : [])]) : asked;
  checkLibraries(facts);
  const devices = facts.gpus.flatMap((gpu) => devicesOfGpu(gpu, capabilities));
  const all = devicesOf(['all'], mergeEdits(facts.gpus.map((gpu) => wholeGpu(gpu, capabilities))));
  const groups = devices.some(({ containerEdits }) => containerEdits.additionalGids !== undefined);
  return {
    // The oldest version that has all that is said: other engines read it as well.
    cdiVersion: groups ? '0.7.0' : '0.5.0',
    kind: nvidiaKind,
    devices: [...devices, ...all],
    containerEdits: commonEdits(facts, capabilities),
  };
}

/** Libraries of another version than the module refuse every call, with an error that nobody understands. */
function checkLibraries({ version, libraries: { versions, folders }, driver }: NvidiaFacts): void {
  if (versions.includes(version)) return;
  const [newest] = versions;
  if (newest !== undefined) throw new EngineError('unavailable', mismatch(version, newest));
  const where = driver.root === '/' ? '' : ` below ${driver.root}`;
  throw new EngineError(
    'unavailable',
    `the NVIDIA kernel module ${version} is loaded, but its libraries (libcuda.so.${version}) are not found${where}: looked in ${folders.join(', ')}; install the ` +
      "driver's libraries of that version, or say where they are with --driver-root",
  );
}

export function mismatch(module: string, libraries: string): string {
  return (
    `the NVIDIA kernel module is ${module}, the driver's libraries are ${libraries}: the driver was updated while the old module runs; restart the machine, or stop ` +
    'what uses the GPUs and load the module anew (modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia; modprobe nvidia)'
  );
}

const wantsGraphics = (capabilities: ReadonlySet<string>): boolean => capabilities.has('graphics') || capabilities.has('display');

function devicesOfGpu(gpu: DescribedGpu, capabilities: ReadonlySet<string>): readonly CdiDevice[] {
  const parts = gpu.parts.flatMap(({ names, nodes }) => devicesOf(names, { deviceNodes: [gpu.node, ...nodes] }));
  return [...devicesOf(gpu.names, wholeGpu(gpu, capabilities)), ...parts];
}

/** With the parts of a divided one, of which each needs its own nodes. */
function wholeGpu({ node, drm, parts }: DescribedGpu, capabilities: ReadonlySet<string>): CdiEdits {
  const partNodes = distinctNodes(parts.flatMap(({ nodes }) => nodes));
  if (!wantsGraphics(capabilities) || parts.length > 0) return { deviceNodes: [node, ...partNodes] };
  return mergeEdits([{ deviceNodes: [node] }, drm]);
}

function devicesOf(names: readonly string[], containerEdits: CdiEdits): readonly CdiDevice[] {
  return names.map((name) => ({ name, containerEdits }));
}

function commonEdits(facts: NvidiaFacts, capabilities: ReadonlySet<string>): CdiEdits {
  const libraries = facts.libraries.libraries.filter(
    ({ path, machine }) => (machine !== 'i386' || capabilities.has('compat32')) && isWanted(posix.basename(path), capabilities),
  );
  const files = facts.files.filter(({ use }) => capabilities.has(use));
  return {
    deviceNodes: facts.control.filter(({ uses }) => uses === null || uses.some((use) => capabilities.has(use))).map(({ node }) => node),
    mounts: [
      ...libraries.map(({ path }) => mountOf(facts.driver.hostPath(path), path)),
      ...files.map(({ hostPath, containerPath }) => mountOf(hostPath, containerPath)),
    ],
    hooks: [
      ...linkHooks(facts.program, libraryLinks(libraries)),
      ...loaderHooks(facts.program, loaderFolders(libraries)),
      ...(facts.forwardCompatible && capabilities.has('compute') ? compatHooks(facts.program, facts.version) : []),
    ],
  };
}

/** Sockets and pipes can be used through a read-only mount. */
function mountOf(hostPath: string, containerPath: string): CdiMount {
  return { hostPath, containerPath, options: ['ro', 'nosuid', 'nodev', 'rbind', 'rprivate'] };
}

/** X servers load these by their full path. */
const isModule = (folder: string): boolean => /\/xorg(\/|$)/.test(folder);

function loaderFolders(libraries: readonly DriverLibrary[]): readonly string[] {
  return [...new Set(libraries.map(({ path }) => posix.dirname(path)))].filter((folder) => !isModule(folder)).sort();
}

/** What an installation has beside the files: links by SONAME (which ldconfig would make), and those that programs open by another name. */
function libraryLinks(libraries: readonly DriverLibrary[]): readonly DeviceLink[] {
  const links = new Map<string, DeviceLink>();
  const add = (path: string, target: string): void => {
    if (posix.basename(path) !== target && !links.has(path)) links.set(path, { path, target });
  };
  for (const { path, soname, links: own } of libraries) {
    const [folder, file] = [posix.dirname(path), posix.basename(path)];
    if (soname !== null) add(posix.join(folder, soname), file);
    for (const { name, target } of own) add(posix.join(folder, name), target);
    for (const [name, target] of expectedLinks(file)) add(posix.join(folder, name), target);
  }
  return [...links.values()];
}

function expectedLinks(file: string): readonly (readonly [path: string, target: string])[] {
  if (/^libcuda\.so\./.test(file)) return [['libcuda.so', 'libcuda.so.1']];
  if (/^libnvidia-opticalflow\.so\./.test(file)) return [['libnvidia-opticalflow.so', 'libnvidia-opticalflow.so.1']];
  if (/^libGLX_nvidia\.so\./.test(file)) return [['libGLX_indirect.so.0', file]];
  if (/^libnvidia-allocator\.so\./.test(file)) return [['gbm/nvidia-drm_gbm.so', '../libnvidia-allocator.so.1']];
  return [];
}
