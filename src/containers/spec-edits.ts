/** What devices change in a spec (`DeviceEdits`), apart from its device nodes (devices.ts) and the order of its mounts (spec-mounts.ts). Pure. */
import { invalid } from '../base/errors.ts';
import type { DeviceEdits, DeviceMount } from '../devices/device-edits.ts';
import type { Hook, HookPoint, Mount, RuntimeSpec } from '../oci/runtime-spec.ts';

/** In the place of what has the same name; others at the end. */
export function withVariables(env: readonly string[], added: readonly string[]): string[] {
  const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? '';
  const set = new Map(env.map((entry) => [nameOf(entry), entry]));
  for (const entry of added) set.set(nameOf(entry), entry);
  return [...set.values()];
}

export function withGroups(groups: readonly number[], added: readonly number[]): number[] {
  return [...new Set([...groups, ...added])];
}

export function hooksOf({ hooks }: DeviceEdits): Pick<RuntimeSpec, 'hooks'> {
  if (hooks.length === 0) return {};
  const points: Partial<Record<HookPoint, Hook[]>> = {};
  for (const { point, path, args, env, timeoutSeconds } of hooks) {
    const hook: Hook = { path, args, env, ...(timeoutSeconds === null ? {} : { timeout: timeoutSeconds }) };
    points[point] = [...(points[point] ?? []), hook];
  }
  return { hooks: points };
}

/** A step of a build has its network for a moment only, and shares its result. */
export function refuseNetDevicesInStep({ netDevices }: DeviceEdits): void {
  const [first] = netDevices;
  if (first === undefined) return;
  throw invalid(
    `the network interface "${first.hostInterfaceName}" (netDevices of a device description) cannot be given to a step of a build`,
  );
}

/** For everybody to read. */
export function procFileMounts({ procFiles }: DeviceEdits): Mount[] {
  return procFiles.map(({ path: destination, content }) => ({
    destination,
    type: 'memory-file',
    file: { content: Buffer.from(content), mode: 0o444, uid: 0, gid: 0 },
  }));
}

/** The later of two for the same place wins, as with `-v`. */
export function deviceMounts(mounts: readonly DeviceMount[], covered: ReadonlySet<string>): Mount[] {
  const last = new Map(mounts.map((mount) => [mount.containerPath, mount]));
  return [...last.values()].filter(({ containerPath }) => !covered.has(containerPath)).map(mountOf);
}

function mountOf({ hostPath: source, containerPath: destination, type, options }: DeviceMount): Mount {
  if (type !== '' && type !== 'bind') return { destination, type, source, options };
  const isBind = options.some((option) => option === 'bind' || option === 'rbind');
  return { destination, type: 'bind', source, options: isBind ? options : ['bind', ...options] };
}
