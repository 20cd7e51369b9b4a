/** The daemon's options for devices: where descriptions (CDI) and drivers are, and whether an image may ask for GPUs by its environment. */
import { isAbsolute, normalize } from 'node:path';
import { invalid } from '../base/errors.ts';
import { defaultDeviceSettings } from '../devices/create-devices.ts';
import type { DeviceSettings } from '../devices/devices.ts';
import type { Setting } from './setting.ts';
import { parseSwitch } from './switch-text.ts';

export const deviceSettings: readonly Setting[] = [
  {
    flag: 'cdi-spec-dir',
    key: 'cdi-spec-dirs',
    kind: 'list',
    help: 'directory of device descriptions (repeatable; /etc/cdi and /var/run/cdi; "" for none)',
  },
  { flag: 'driver-root', key: 'driver-root', kind: 'text', help: 'where the libraries and programs of GPU drivers are (/)' },
  { flag: 'device-root', key: 'device-root', kind: 'text', help: 'whose /dev, /proc and /sys tell which GPUs there are (/)' },
  {
    flag: 'gpus-from-environment',
    key: 'gpus-from-environment',
    kind: 'switch',
    help: 'NVIDIA_VISIBLE_DEVICES of an image or container asks for GPUs, without --gpus (false)',
  },
];

export function deviceOptions(values: ReadonlyMap<string, readonly string[]>): DeviceSettings {
  const defaults = defaultDeviceSettings;
  const one = (flag: string) => values.get(flag)?.at(-1) ?? '';
  return {
    specDirectories: specDirectories(values.get('cdi-spec-dir') ?? defaults.specDirectories),
    driverRoot: absolute(one('driver-root') || defaults.driverRoot, '--driver-root'),
    deviceRoot: absolute(one('device-root') || defaults.deviceRoot, '--device-root'),
    gpusFromEnvironment: parseSwitch(one('gpus-from-environment') || String(defaults.gpusFromEnvironment), '--gpus-from-environment'),
  };
}

/** As dockerd: an empty one alone turns files of descriptions off. */
function specDirectories(texts: readonly string[]): readonly string[] {
  if (texts.length === 1 && texts[0] === '') return [];
  return [...new Set(texts.map((text) => absolute(text, '--cdi-spec-dir')))];
}

function absolute(text: string, name: string): string {
  if (!isAbsolute(text)) throw invalid(`invalid value for ${name}: ${JSON.stringify(text)} is not an absolute path`);
  return withoutLastSlash(normalize(text));
}

function withoutLastSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
