/** The body of `POST /containers/ID/update`: limits that may change, and the restart policy. Zero, null and the empty text mean "as it is". */
import Type from 'typebox';
import { invalid } from '../base/errors.ts';
import { decoderOf } from './decode.ts';
import { HostConfigSchema, normaliseHostConfig } from './host-config-request.ts';

const decode = decoderOf(Type.Object({ ...HostConfigSchema.properties }));

const changeable = [
  ...([
    'BlkioWeight',
    'CpuPeriod',
    'CpuQuota',
    'CpuRealtimePeriod',
    'CpuRealtimeRuntime',
    'CpuShares',
    'CpusetCpus',
    'CpusetMems',
  ] as const),
  ...(['Memory', 'MemoryReservation', 'MemorySwap', 'NanoCpus'] as const),
] as const;

/** The other resources of Docker's body: clients send them all, mostly empty. */
const fixed = [
  ...(['BlkioWeightDevice', 'BlkioDeviceReadBps', 'BlkioDeviceWriteBps', 'BlkioDeviceReadIOps', 'BlkioDeviceWriteIOps'] as const),
  ...(['CgroupParent', 'Devices', 'DeviceCgroupRules', 'DeviceRequests', 'MemorySwappiness', 'OomKillDisable', 'Ulimits'] as const),
  ...(['CpuCount', 'CpuPercent', 'IOMaximumIOps', 'IOMaximumBandwidth', 'KernelMemory', 'KernelMemoryTCP'] as const),
] as const;

export function decodeUpdate(body: unknown) {
  const request = decode(body);
  const all = normaliseHostConfig(request);
  for (const field of fixed) {
    if (asksSomething(request[field]))
      throw invalid(`${field} cannot be updated: it is for the container's whole life; create another one`);
  }
  const limits = Object.fromEntries(changeable.map((name) => [name, all[name]])) as Pick<typeof all, (typeof changeable)[number]>;
  const { RestartPolicy: policy } = all;
  return {
    limits,
    // Zero is a wish here: no limit.
    pidsLimit: request.PidsLimit ?? null,
    restartPolicy: policy.Name === '' ? null : policy,
  };
}

function asksSomething(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== 0 && value !== '' && value !== false && value !== -1;
}
