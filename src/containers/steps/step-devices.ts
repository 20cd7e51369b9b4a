/** The devices of a build step: nodes of this machine by their path, as `--device` of a container, and what the device service grants by name or by request. */
import { invalid } from '../../base/errors.ts';
import type { DeviceRequest } from '../../devices/device-request.ts';
import { type DeviceGrant, type Devices, noGrant } from '../../devices/devices.ts';
import type { HostConfig } from '../config.ts';
import { hostDevices } from '../devices.ts';
import type { Step } from './step.ts';

/** `/dev/fuse`. */
export function nodesOf({ devices }: Pick<Step, 'devices'>): HostConfig['Devices'] {
  return devices
    .filter(({ name, required }) => name.startsWith('/') && (required || hostDevices(name) !== null))
    .map(({ name }) => ({ PathOnHost: name, PathInContainer: name, CgroupPermissions: 'rwm' }));
}

/** Held until `release(step.id)`. What is not required and cannot be given is left out. */
export async function grantStepDevices(devices: Devices, step: Step): Promise<DeviceGrant> {
  const names = await grantable(
    devices,
    step.devices.filter(({ name }) => !name.startsWith('/')),
  );
  const byName: DeviceRequest = { Driver: 'cdi', Count: 0, DeviceIDs: names, Capabilities: null, Options: null };
  const requests = [...(step.settings.deviceRequests ?? []), ...(names.length > 0 ? [byName] : [])];
  if (requests.length === 0) return noGrant;
  // Variables say what of the driver comes along, not which devices: who writes a Dockerfile must not give itself any.
  const environment = step.environment.filter((entry) => !/^(NVIDIA|AMD)_VISIBLE_DEVICES=/.test(entry));
  return await devices.grant({ id: step.id, title: 'a build step' }, { requests, environment, byRuntime: false });
}

async function grantable(devices: Devices, wanted: Step['devices']): Promise<readonly string[]> {
  const names = wanted.map(async ({ name, required }) => {
    if (!name.includes('='))
      throw invalid(`invalid device ${JSON.stringify(name)}: give its path (/dev/fuse) or its name (vendor.com/class=name)`);
    return required || (await canBeGranted(devices, name)) ? [name] : [];
  });
  return (await Promise.all(names)).flat();
}

async function canBeGranted(devices: Devices, name: string): Promise<boolean> {
  try {
    return (await devices.inspect(name)).problem === null;
  } catch {
    return false;
  }
}
