/** Why there is no NVIDIA GPU to be had: what was looked for, what was found instead, and what to do. */
import type { HostTree } from '../host-tree.ts';
import { type PciDisplay, pciDisplays } from '../pci-displays.ts';

const vendorTool = 'write a description of it to /etc/cdi with NVIDIA Container Toolkit';

export async function whyNoDriver(devices: HostTree): Promise<string> {
  const module = devices.hostPath('/proc/driver/nvidia/version');
  if (await devices.exists('/dev/dxg')) {
    return `this is Windows' Linux subsystem, whose GPU is /dev/dxg: ${vendorTool} (nvidia-ctk cdi generate --mode=wsl), then it can be asked for`;
  }
  if ((await devices.exists('/etc/nv_tegra_release')) || (await isTegra(devices))) {
    return `this is a Jetson, whose GPU is part of the processor: ${vendorTool} (nvidia-ctk cdi generate --mode=csv), then it can be asked for`;
  }
  const gpus = await pciDisplays(devices, '0x10de');
  const [first] = gpus;
  if (first === undefined) return `no NVIDIA driver is loaded (there is no ${module}), and no NVIDIA GPU is on the PCI bus`;
  const which = gpus.length === 1 ? `the NVIDIA GPU at ${first.address}` : `${gpus.length} NVIDIA GPUs (the first at ${first.address})`;
  const has = gpus.length === 1 ? 'has' : 'have';
  if (first.driver === 'nouveau') {
    return `${which} ${has} the driver nouveau, which cannot be used for this: install NVIDIA's driver and restart the machine`;
  }
  if (first.driver === 'nvidia')
    return `${which} ${has} the driver nvidia, but there is no ${module}: say where the machine's /proc is with --device-root`;
  if (first.driver === 'vfio-pci')
    return `${which} ${has} the driver vfio-pci, which keeps GPUs for virtual machines: give them back to the driver nvidia`;
  return `${which} ${has} no driver (there is no ${module}): install NVIDIA's driver, or load it with modprobe nvidia`;
}

/** There is a GPU that was not given away to a virtual machine. */
export async function lacksDriver(devices: HostTree): Promise<boolean> {
  return (await pciDisplays(devices, '0x10de')).some(({ driver }) => driver !== 'vfio-pci');
}

/** The module is loaded, but it serves none. */
export async function whyNoGpus(devices: HostTree, version: string): Promise<string> {
  const found = refusal(await pciDisplays(devices, '0x10de'));
  return `the NVIDIA driver ${version} is loaded, but it has no GPU: ${found}; see what it says with dmesg | grep NVRM`;
}

function refusal(gpus: readonly PciDisplay[]): string {
  const other = gpus.find(({ driver }) => driver !== 'nvidia');
  if (gpus.length === 0) return 'no NVIDIA GPU is on the PCI bus';
  return other === undefined
    ? 'it refuses those there are'
    : `${other.address} has ${other.driver === '' ? 'no driver' : `the driver ${other.driver}`}`;
}

const isTegra = async (devices: HostTree): Promise<boolean> =>
  (await devices.text('/proc/device-tree/compatible'))?.includes('nvidia,tegra') === true;
