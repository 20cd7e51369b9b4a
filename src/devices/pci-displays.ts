/** Display controllers on the PCI bus, GPUs among them, and who drives them: for saying why a GPU that is there cannot be had. */
import { posix } from 'node:path';
import type { HostTree } from './host-tree.ts';

export interface PciDisplay {
  readonly address: string;
  /** '': none. */
  readonly driver: string;
}

/** Of this vendor (`0x10de`). */
export async function pciDisplays(devices: HostTree, vendor: string): Promise<readonly PciDisplay[]> {
  const addresses = await devices.names('/sys/bus/pci/devices');
  const found = addresses.map(async (address) => {
    const base = `/sys/bus/pci/devices/${address}`;
    if ((await devices.text(`${base}/vendor`))?.trim() !== vendor) return [];
    // The same card has sound and USB beside.
    const kind = (await devices.text(`${base}/class`)) ?? '';
    return /^0x(03|12)/.test(kind) ? [{ address, driver: posix.basename((await devices.linkText(`${base}/driver`)) ?? '') }] : [];
  });
  return (await Promise.all(found)).flat();
}

/** Of a maker whose GPUs are known by their DRM nodes. */
export async function whyNoDrmGpu(
  devices: HostTree,
  maker: { readonly vendor: string; readonly name: string; readonly drivers: readonly string[] },
): Promise<string> {
  const [first] = await pciDisplays(devices, maker.vendor);
  if (first === undefined) return `no ${maker.name} GPU is on the PCI bus`;
  const drivers = maker.drivers.join(' or ');
  if (first.driver === '') return `the ${maker.name} GPU at ${first.address} has no driver: load it with modprobe ${drivers}`;
  if (maker.drivers.includes(first.driver))
    return `the ${maker.name} GPU at ${first.address} has the driver ${first.driver}, but no DRM node in ${devices.hostPath('/sys/class/drm')}`;
  return `the ${maker.name} GPU at ${first.address} has the driver ${first.driver}, which cannot be used for this: give it to the driver ${drivers}`;
}
