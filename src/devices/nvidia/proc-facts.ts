/** What the NVIDIA kernel module says of itself in /proc (nv-procfs.c) and which numbers its nodes have. */
import type { HostTree } from '../host-tree.ts';

export interface ProcGpu {
  /** Number of its node: /dev/nvidia0. */
  readonly minor: number;
  /** `0000:01:00.0` */
  readonly pciAddress: string;
  readonly model: string;
  /** Null: nobody has used the GPU since the module was loaded, so that the module does not know yet. */
  readonly uuid: string | null;
}

/** Of the loaded module; null: it is not loaded. */
export async function moduleVersion(devices: HostTree): Promise<string | null> {
  const text = await devices.text('/proc/driver/nvidia/version');
  if (text === null) return null;
  // `NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat …`, `NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  …`
  const version = text.match(/Kernel Module\s+(?:for \S+\s+)?(\d+(?:\.\d+)+)/)?.[1];
  return version ?? (await devices.text('/sys/module/nvidia/version'))?.trim() ?? null;
}

/** Those that the driver serves, by PCI address: the order in which NVIDIA's tools number them. */
export async function procGpus(devices: HostTree): Promise<readonly ProcGpu[]> {
  const addresses = await devices.names('/proc/driver/nvidia/gpus');
  const gpus = await Promise.all(
    addresses.map(async (address) => gpuOf(address, await devices.text(`/proc/driver/nvidia/gpus/${address}/information`))),
  );
  return gpus.filter((gpu) => gpu !== null).sort((one, other) => (one.pciAddress < other.pciAddress ? -1 : 1));
}

function gpuOf(address: string, text: string | null): ProcGpu | null {
  if (text === null) return null;
  const fields = new Map(text.split('\n').map((line) => [line.split(':')[0]?.trim() ?? '', line.slice(line.indexOf(':') + 1).trim()]));
  const minor = Number(fields.get('Device Minor') ?? Number.NaN);
  if (!Number.isInteger(minor) || fields.get('GPU Excluded') === 'Yes') return null;
  const uuid = fields.get('GPU UUID') ?? '';
  return {
    minor,
    pciAddress: pciAddressOf(fields.get('Bus Location') ?? address),
    model: fields.get('Model') ?? 'NVIDIA GPU',
    uuid: /^GPU-[0-9a-fA-F-]+$/.test(uuid) ? uuid : null,
  };
}

/** NVML writes the domain with eight digits, everybody else with four. */
export function pciAddressOf(text: string): string {
  return text.toLowerCase().replace(/^0{4}(?=[0-9a-f]{4}:)/, '');
}

export interface NodeMajors {
  readonly nvidia: number | null;
  readonly uvm: number | null;
  readonly caps: number | null;
}

export async function nodeMajors(devices: HostTree): Promise<NodeMajors> {
  const characters = (await devices.text('/proc/devices'))?.split(/^Block devices:/m)[0] ?? '';
  const majors = new Map([...characters.matchAll(/^\s*(\d+) (\S+)$/gm)].map(([, major, name]) => [name, Number(major)]));
  return {
    nvidia: majors.get('nvidia') ?? majors.get('nvidia-frontend') ?? majors.get('nvidiactl') ?? null,
    uvm: majors.get('nvidia-uvm') ?? null,
    caps: majors.get('nvidia-caps') ?? null,
  };
}
