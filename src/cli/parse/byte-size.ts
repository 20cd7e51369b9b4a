/** Sizes that may be unlimited, and shares of CPUs. */
import { parseByteSize } from '../../base/byte-size.ts';

/** As `parseByteSize`, and `-1` for no limit. */
export function parseByteSizeOrUnlimited(text: string): number {
  return text === '-1' ? -1 : parseByteSize(text);
}

/** `1.5` CPUs → billionths of a CPU. */
export function parseCpus(text: string): number {
  const fraction = /^(\d+)\/([1-9]\d*)$/.exec(text);
  const value =
    fraction === null
      ? /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text)
        ? Number(text)
        : Number.NaN
      : Number(fraction[1]) / Number(fraction[2]);
  if (!Number.isFinite(value)) throw new Error(`failed to parse ${text} as a rational number`);
  const nano = value * 1e9;
  if (Math.abs(nano - Math.round(nano)) > 1e-3) throw new Error('value is too precise');
  return Math.round(nano);
}
