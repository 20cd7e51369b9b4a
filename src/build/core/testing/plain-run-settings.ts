import type { RunSettings } from '../../build-request.ts';

/** Of a build whose steps are asked for nothing special. */
export const plainRunSettings: RunSettings & { readonly network: 'default' } = {
  network: 'default',
  networkName: null,
  extraHosts: [],
  hostname: null,
  shmSizeBytes: null,
  ulimits: [],
  cgroupParent: null,
  memoryBytes: null,
  memorySwapBytes: null,
  cpuShares: null,
  cpuPeriod: null,
  cpuQuota: null,
  cpus: null,
  memoryNodes: null,
  gpus: [],
};
