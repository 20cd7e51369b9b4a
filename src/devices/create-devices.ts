/** Devices of this machine: puts together the implementation of `devices.ts` from descriptions, makers of GPUs and their readings. */
import { amdVendor } from './amd/amd-vendor.ts';
import { SpecDirectories } from './cdi/spec-directories.ts';
import { DeviceService } from './device-service.ts';
import type { DeviceSettings, Devices } from './devices.ts';
import type { GpuVendor } from './gpu-vendor.ts';
import { intelVendor } from './intel/intel-vendor.ts';
import { nvidiaVendor } from './nvidia/nvidia-vendor.ts';
import type { GpuReadings } from './nvml/gpu-readings.ts';
import { resolveEdits } from './resolve-edits.ts';

export interface DeviceParts {
  /** Tried in this order where a request names none. Default: all that are known. */
  readonly vendors?: readonly GpuVendor[];
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
  const { readings, vendors = allVendors(settings, readings) } = parts;
  return new DeviceService({
    vendors,
    readings,
    files: new SpecDirectories(settings.specDirectories),
    resolve: (edits) => resolveEdits(edits, { deviceRoot: settings.deviceRoot }),
    gpusFromEnvironment: settings.gpusFromEnvironment,
  });
}

function allVendors({ deviceRoot, driverRoot }: DeviceSettings, readings: GpuReadings): readonly GpuVendor[] {
  return [nvidiaVendor({ deviceRoot, driverRoot, readings }), amdVendor({ deviceRoot }), intelVendor({ deviceRoot })];
}
