/** Devices in `/info`: what can be given to containers, and what is wrong with descriptions. It never fails, and a driver that does not answer holds nobody up. */
import { errorText } from '../base/errors.ts';
import type { Devices } from '../devices/devices.ts';

export interface DeviceFacts {
  readonly discovered: readonly { readonly Source: 'cdi'; readonly ID: string }[];
  readonly warnings: readonly string[];
}

const patienceMs = 1000;

export async function deviceFacts(devices: Pick<Devices, 'list'>, patience = patienceMs): Promise<DeviceFacts> {
  const { promise: late, resolve } = Promise.withResolvers<DeviceFacts>();
  const text = `Devices are not listed: they could not be looked at within ${patience / 1000} s; see gantry device ls`;
  const timer = setTimeout(() => resolve({ discovered: [], warnings: [text] }), patience);
  try {
    return await Promise.race([listed(devices), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function listed(devices: Pick<Devices, 'list'>): Promise<DeviceFacts> {
  try {
    const { devices: found, problems } = await devices.list();
    return {
      discovered: found.map(({ name }) => ({ Source: 'cdi', ID: name })),
      warnings: problems.map(({ source, text }) => `${source}: ${text}`),
    };
  } catch (thrown) {
    return { discovered: [], warnings: [`Devices are not listed: ${errorText(thrown)}`] };
  }
}
