/**
 * Container edits of descriptions to `DeviceEdits`: what a description leaves open is looked up on this host, and what it names has to be there. Merged as the library of
 * CDI does: a later node, mount or variable replaces an earlier one at the same place.
 */
import type { BigIntStats } from 'node:fs';
import { access, constants, readFile, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { errorText, hasErrnoCode, invalid } from '../base/errors.ts';
import { majorOf, minorOf } from '../linux/file-calls.ts';
import type { HookPoint } from '../oci/runtime-spec.ts';
import type { SourcedEdits } from './cdi/catalogue.ts';
import type { CdiDeviceNode, CdiHook, CdiMount } from './cdi/cdi-spec.ts';
import { isBind } from './cdi/parse-edits.ts';
import type { DeviceEdits, DeviceHook, DeviceLink, DeviceMount, DeviceNode } from './device-edits.ts';
import { foldHook } from './fold-hooks.ts';

export interface ResolveHost {
  /** Where the nodes are that a discovered description names without a path of the host. Files' paths are taken as they are. */
  readonly deviceRoot: string;
  /** Default: the kernel's own. */
  readonly driverParameters?: string;
}

/** What NVIDIA's libraries read before they make nodes that they miss. Containers see the host's. */
const driverParameters = '/proc/driver/nvidia/params';

/** `parts`: of `editsOf`. Throws an `invalid` for the first thing that is missing: what, named by whom, why that may be and what to do. */
export async function resolveEdits(parts: readonly SourcedEdits[], host: ResolveHost): Promise<DeviceEdits> {
  const env: string[] = [];
  const nodes = new Map<string, DeviceNode>();
  const mounts = new Map<string, DeviceMount>();
  const links = new Map<string, DeviceLink>();
  const loaderDirectories = new Set<string>();
  let cudaDriver: string | null = null;
  const hooks: DeviceHook[] = [];
  const gids = new Set<number>();
  const netDevices = new Map<string, DeviceEdits['netDevices'][number]>();
  for (const part of parts) {
    const { edits } = part;
    env.push(...(edits.env ?? []));
    for (const node of await Promise.all((edits.deviceNodes ?? []).map((each) => resolveNode(each, part, host))))
      replace(nodes, node.path, node);
    for (const mount of await Promise.all((edits.mounts ?? []).map((each) => resolveMount(each, part))))
      replace(mounts, mount.containerPath, mount);
    for (const hook of edits.hooks ?? []) {
      const folded = foldHook(hook, sourceOf(part));
      for (const link of folded?.links ?? []) replace(links, link.path, link);
      for (const directory of folded?.loaderDirectories ?? []) loaderDirectories.add(directory);
      cudaDriver = folded?.cudaDriver ?? cudaDriver;
      if (folded === null) hooks.push(await resolveHook(hook, part));
    }
    // The library of CDI leaves out 0 as well.
    for (const gid of edits.additionalGids ?? []) if (gid !== 0) gids.add(gid);
    for (const device of edits.netDevices ?? []) replace(netDevices, device.hostInterfaceName, device);
  }
  return {
    env,
    nodes: [...nodes.values()],
    mounts: outerFirst([...mounts.values()]),
    links: [...links.values()],
    loaderDirectories: [...loaderDirectories],
    cudaDriver,
    procFiles: nodes.has('/dev/nvidiactl') ? await fixedParameters(host.driverParameters ?? driverParameters) : [],
    hooks,
    additionalGids: [...gids],
    intelRdt: parts.findLast(({ edits }) => edits.intelRdt !== undefined)?.edits.intelRdt ?? null,
    netDevices: [...netDevices.values()],
  };
}

/**
 * Of a driver that lets programs make its nodes: a container's root, who may make nodes, would get those of GPUs that others have, although nothing could open them.
 * Empty where the driver's module is not there.
 */
async function fixedParameters(path: string): Promise<DeviceEdits['procFiles']> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return null;
    throw error;
  });
  if (text === null) return [];
  const line = 'ModifyDeviceFiles: 0';
  const others = text.split('\n').filter((each) => each !== '' && !each.startsWith('ModifyDeviceFiles:'));
  return text.split('\n').includes(line) ? [] : [{ path: driverParameters, content: `${[line, ...others].join('\n')}\n` }];
}

/** In the place of the last one that asked for it. */
function replace<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
}

function outerFirst(mounts: readonly DeviceMount[]): readonly DeviceMount[] {
  const depth = ({ containerPath }: DeviceMount): number => containerPath.split('/').filter((part) => part !== '').length;
  return mounts.toSorted((a, b) => depth(a) - depth(b));
}

type Source = Pick<SourcedEdits, 'file' | 'kind'>;

function sourceOf({ file, kind }: Source): string {
  return file ?? `the discovery of ${kind}`;
}

/** What to do about something that a description names and that is not there. */
function remedy({ file }: Source): string {
  return file === null ? 'is its driver being changed? try again' : `if the driver was changed, write ${file} anew`;
}

async function resolveNode(node: CdiDeviceNode, source: Source, { deviceRoot }: ResolveHost): Promise<DeviceNode> {
  const path = posix.resolve('/', node.path);
  const hostPath = node.hostPath ?? (source.file === null ? posix.join(deviceRoot, node.path) : node.path);
  const described = describedNumbers(node);
  const stats = await stat(hostPath, { bigint: true }).catch((error: unknown) => {
    if (described !== null) return null;
    if (!hasErrnoCode(error, 'ENOENT', 'ENOTDIR'))
      throw invalid(`cannot look at the device node ${hostPath} named by ${sourceOf(source)}: ${errorText(error)}`, { cause: error });
    throw invalid(`the device node ${hostPath} named by ${sourceOf(source)} is not there: was its driver unloaded? ${remedy(source)}`);
  });
  const found = stats === null ? null : nodeType(stats);
  if (described === null && found === null)
    throw invalid(`${hostPath} named by ${sourceOf(source)} is not a device node: correct its path there`);
  if (described === null && node.type !== undefined && plainType(node.type) !== found)
    throw invalid(`the device node ${hostPath} is of type ${found}, and ${sourceOf(source)} says ${node.type}: correct its type there`);
  const device = stats?.rdev ?? 0n;
  return {
    path,
    hostPath,
    type: (described?.type ?? found ?? 'c') as DeviceNode['type'],
    // The layout of dev_t in user space (makedev(3)).
    major: described?.major ?? majorOf(device),
    minor: described?.minor ?? minorOf(device),
    fileMode: (node.fileMode ?? (stats === null || found === null ? 0o666 : Number(stats.mode))) & 0o777,
    uid: node.uid ?? null,
    gid: node.gid ?? null,
    access: node.permissions === 'none' ? '' : accessOf(node.permissions),
  };
}

/** What a description says completely needs no node of the host. */
function describedNumbers({ type, major, minor }: CdiDeviceNode): { type: string; major: number; minor: number } | null {
  if (type === 'p') return { type, major: 0, minor: 0 };
  return type === undefined || major === undefined || major === 0 ? null : { type, major, minor: minor ?? 0 };
}

function plainType(type: string): string {
  return type === 'u' ? 'c' : type;
}

function nodeType(stats: BigIntStats): 'b' | 'c' | 'p' | null {
  if (stats.isBlockDevice()) return 'b';
  if (stats.isCharacterDevice()) return 'c';
  return stats.isFIFO() ? 'p' : null;
}

function accessOf(permissions: string | undefined): string {
  const asked = permissions ?? 'rwm';
  return [...'rwm'].filter((letter) => asked.includes(letter)).join('');
}

async function resolveMount({ hostPath, containerPath, type, options }: CdiMount, source: Source): Promise<DeviceMount> {
  const place = posix.resolve('/', containerPath);
  if (!isBind(type, options)) return { hostPath, containerPath: place, kind: 'directory', options: options ?? [], type: type ?? '' };
  const stats = await stat(hostPath).catch((error: unknown) => {
    const problem = hasErrnoCode(error, 'ENOENT', 'ENOTDIR')
      ? `is not there: ${remedy(source)}`
      : `cannot be looked at: ${errorText(error)}`;
    throw invalid(`${hostPath}, which ${sourceOf(source)} mounts, ${problem}`, { cause: error });
  });
  const asked = options ?? [];
  const isSaid = asked.some((option) => option === 'bind' || option === 'rbind');
  return {
    hostPath,
    containerPath: place,
    kind: stats.isDirectory() ? 'directory' : 'file',
    options: isSaid ? asked : ['rbind', ...asked],
    type: '',
  };
}

async function resolveHook({ hookName, path, args, env, timeout }: CdiHook, source: Source): Promise<DeviceHook> {
  await access(path, constants.X_OK).catch((error: unknown) => {
    const command = (args ?? []).slice(1, 3).join(' ');
    const what = command === '' ? path : `${path} (${command})`;
    const problem = hasErrnoCode(error, 'ENOENT', 'ENOTDIR') ? 'is not there' : `cannot be run: ${errorText(error)}`;
    throw invalid(`the hook ${what} of ${sourceOf(source)} ${problem}: install the program, or take the hook out of the description`, {
      cause: error,
    });
  });
  return {
    point: hookName as HookPoint,
    path,
    args: args === undefined || args.length === 0 ? [path] : args,
    env: env ?? [],
    timeoutSeconds: timeout ?? null,
  };
}
