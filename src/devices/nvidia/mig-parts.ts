/**
 * Parts of divided GPUs (MIG): compute instances of GPU instances. The module shows each that exists as a file of its capabilities, which says the number of the node
 * that opens it:
 *
 *   /proc/driver/nvidia/capabilities/gpu<minor>/mig/gi<G>/access         DeviceFileMinor: 12  ─▶ /dev/nvidia-caps/nvidia-cap12
 *   /proc/driver/nvidia/capabilities/gpu<minor>/mig/gi<G>/ci<C>/access   DeviceFileMinor: 13
 *
 * All numbers that there can be are in /proc/driver/nvidia-caps/mig-minors.
 */
import type { HostTree } from '../host-tree.ts';

export interface MigPart {
  readonly gpuInstance: number;
  readonly computeInstance: number;
  /** Of its two nodes below /dev/nvidia-caps. */
  readonly minors: readonly number[];
}

/** By instance numbers. */
export async function migParts(devices: HostTree, gpuMinor: number): Promise<readonly MigPart[]> {
  const base = `/proc/driver/nvidia/capabilities/gpu${gpuMinor}/mig`;
  const instances = numbered(await devices.names(base), 'gi');
  const parts = instances.map(async (gpuInstance) => {
    const computeInstances = numbered(await devices.names(`${base}/gi${gpuInstance}`), 'ci');
    return await Promise.all(
      computeInstances.map(async (computeInstance) => await partOf(devices, gpuMinor, gpuInstance, computeInstance)),
    );
  });
  return (await Promise.all(parts)).flat().filter((part) => part !== null);
}

async function partOf(devices: HostTree, gpu: number, gpuInstance: number, computeInstance: number): Promise<MigPart | null> {
  const minors = await Promise.all([
    capMinor(devices, gpu, `gi${gpuInstance}`),
    capMinor(devices, gpu, `gi${gpuInstance}/ci${computeInstance}`),
  ]);
  const known = minors.filter((minor) => minor !== null);
  return known.length === 2 ? { gpuInstance, computeInstance, minors: known } : null;
}

async function capMinor(devices: HostTree, gpu: number, instance: string): Promise<number | null> {
  const own = (await devices.text(`/proc/driver/nvidia/capabilities/gpu${gpu}/mig/${instance}/access`))?.match(
    /^DeviceFileMinor: (\d+)$/m,
  )?.[1];
  if (own !== undefined) return Number(own);
  const lines = (await devices.text('/proc/driver/nvidia-caps/mig-minors'))?.split('\n') ?? [];
  const listed = lines.find((line) => line.startsWith(`gpu${gpu}/${instance}/access `))?.split(' ')[1];
  return listed === undefined ? null : Number(listed);
}

function numbered(names: readonly string[], prefix: string): readonly number[] {
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((one, other) => one - other);
}
