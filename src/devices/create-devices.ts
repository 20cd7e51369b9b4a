/** Devices of this machine: puts together the implementation of `devices.ts` from descriptions, makers of GPUs and their readings. */
import { SpecDirectories } from './cdi/spec-directories.ts';
import { DeviceService } from './device-service.ts';
import type { DeviceSettings, Devices } from './devices.ts';
import type { GpuVendor } from './gpu-vendor.ts';
import type { GpuReadings } from './nvml/gpu-readings.ts';
import { resolveEdits } from './resolve-edits.ts';

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
  return new DeviceService({
    ...parts,
    files: new SpecDirectories(settings.specDirectories),
    resolve: (edits) => resolveEdits(edits, { deviceRoot: settings.deviceRoot }),
    gpusFromEnvironment: settings.gpusFromEnvironment,
  });
}
