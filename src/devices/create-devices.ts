/** Devices of this machine: puts together the implementation of `devices.ts` from descriptions, makers of GPUs and their readings. */
import { EngineError, notFound } from '../base/errors.ts';
import type { DeviceGrant, DeviceSettings, Devices, DeviceWish } from './devices.ts';
import { noGrant } from './devices.ts';
import type { GpuVendor } from './gpu-vendor.ts';
import type { GpuReadings } from './nvml/gpu-readings.ts';

export interface DeviceParts {
  readonly vendors: readonly GpuVendor[];
  readonly readings: GpuReadings;
}

export const noReadings: GpuReadings = {
  inventory: () => Promise.resolve(null),
  usage: () => Promise.resolve(null),
  close: () => Promise.resolve(),
};

export const defaultDeviceSettings: DeviceSettings = {
  specDirectories: ['/etc/cdi', '/var/run/cdi'],
  driverRoot: '/',
  deviceRoot: '/',
  gpusFromEnvironment: false,
};

/** For whoever serves containers without devices. */
export const noDevices: Devices = createDevices({ ...defaultDeviceSettings, specDirectories: [] }, { vendors: [], readings: noReadings });

export function createDevices(settings: DeviceSettings, parts: DeviceParts): Devices {
  return {
    list: () => Promise.resolve({ devices: [], problems: [] }),
    inspect: (name) => Promise.reject(notFound(`no such device: ${name}`)),
    describe: () => Promise.reject(new EngineError('unavailable', 'no GPU is known on this machine')),
    grant: grantOf,
    adopt: () => undefined,
    release: () => undefined,
    holders: () => [],
    readings: parts.readings,
    specDirectories: settings.specDirectories,
  };
}

async function grantOf(_holder: unknown, { requests }: DeviceWish): Promise<DeviceGrant> {
  const [request] = requests;
  if (request === undefined) return noGrant;
  throw new EngineError(
    'system',
    `could not select device driver "${request.Driver}" with capabilities: ${goList(request.Capabilities ?? [])}`,
  );
}

/** As Go prints a list of lists. */
function goList(lists: readonly (readonly string[])[]): string {
  return `[${lists.map((list) => `[${list.join(' ')}]`).join(' ')}]`;
}
