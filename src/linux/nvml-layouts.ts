/** What nvml.h lays out in memory, field by field: unsigned numbers of the machine's byte order, which is little-endian wherever we run. */

export interface NvmlMemory {
  /** Bytes. */
  readonly total: number;
  readonly used: number;
}

export interface NvmlProcess {
  readonly pid: number;
  /** Bytes; null: not told. */
  readonly memory: number | null;
  /** Of the part of a divided GPU; null: it is not divided. */
  readonly gpuInstance: number | null;
  readonly computeInstance: number | null;
}

export interface NvmlProcessSample {
  readonly pid: number;
  /** Microseconds since 1970. */
  readonly at: bigint;
  /** Percent of the multiprocessors' time. */
  readonly busy: number;
}

export interface NvmlAttributes {
  readonly gpuSlices: number;
  readonly computeSlices: number;
  readonly memoryMiB: number;
}

/** nvmlPciInfo_t: busIdLegacy[16], domain, bus, device, pciDeviceId, pciSubSystemId (4 each), busId[32] */
export const pciInfo = { sizeBytes: 68, busIdAt: 36 } as const;

/** nvmlMemory_t: total, free, used (8 each) */
export const memoryV1 = {
  sizeBytes: 24,
  read: (bytes: Buffer): NvmlMemory => ({ total: wide(bytes, 0), used: wide(bytes, 16) }),
} as const;

/** nvmlMemory_v2_t: version (4, then 4 of padding), total, reserved, free, used (8 each). `used` is without what the driver keeps for itself. */
export const memoryV2 = {
  sizeBytes: 40,
  /** As nvml.h makes them: the size, and the version in the highest byte. */
  version: 40 | (2 << 24),
  read: (bytes: Buffer): NvmlMemory => ({ total: wide(bytes, 8), used: wide(bytes, 32) }),
} as const;

/** nvmlDeviceAttributes_t: eight counts (4 each), the last two gpuInstanceSliceCount and computeInstanceSliceCount, then memorySizeMB (8) */
export const attributes = {
  sizeBytes: 40,
  read: (bytes: Buffer): NvmlAttributes => ({
    gpuSlices: bytes.readUInt32LE(24),
    computeSlices: bytes.readUInt32LE(28),
    memoryMiB: wide(bytes, 32),
  }),
} as const;

/**
 * nvmlProcessInfo_t has three sizes, and neither the name of the function nor the version of the driver tells which one is written (`_v3` of early 535 drivers
 * writes the largest):
 *
 *   16  pid (4, then 4 of padding), usedGpuMemory (8)
 *   24  …, gpuInstanceId (4), computeInstanceId (4)
 *   32  …, usedGpuCcProtectedMemory (8)
 *
 * Every one ends in a field. So the list is filled with a pattern before, and how far it was overwritten says the size.
 */
export const largestProcessBytes = 32;
export const pattern = 0xa5;

export function readProcesses(bytes: Buffer, count: number): readonly NvmlProcess[] {
  const size = processSize(bytes, count);
  return Array.from({ length: count }, (_, index) => {
    const entry = bytes.subarray(index * size, (index + 1) * size);
    return {
      pid: entry.readUInt32LE(0),
      memory: entry.readBigUInt64LE(8) === notAvailable ? null : wide(entry, 8),
      gpuInstance: size === 16 ? null : instance(entry, 16),
      computeInstance: size === 16 ? null : instance(entry, 20),
    };
  });
}

function processSize(bytes: Buffer, count: number): 16 | 24 | 32 {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === pattern) end -= 1;
  const perEntry = count === 0 ? 0 : end / count;
  return perEntry > 24 ? 32 : perEntry > 16 ? 24 : 16;
}

const notAvailable = 2n ** 64n - 1n;
const noInstance = 0xffff_ffff;

function instance(entry: Buffer, at: number): number | null {
  const id = entry.readUInt32LE(at);
  return id === noInstance ? null : id;
}

/** nvmlProcessUtilizationSample_t: pid (4, then 4 of padding), timeStamp (8), smUtil, memUtil, encUtil, decUtil (4 each) */
export const sampleBytes = 32;

export function readSamples(bytes: Buffer, count: number): readonly NvmlProcessSample[] {
  return Array.from({ length: count }, (_, index) => {
    const entry = bytes.subarray(index * sampleBytes, (index + 1) * sampleBytes);
    return { pid: entry.readUInt32LE(0), at: entry.readBigUInt64LE(8), busy: entry.readUInt32LE(16) };
  }).filter(({ pid }) => pid !== 0);
}

/** Sizes stay far below 2^53. */
function wide(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}
