/** `--log-driver` and `--log-opt`: checked, and read as limits of the log file. Pure. Which drivers exist is in `unsupported.ts`. */
import { invalid, notImplemented } from '../base/errors.ts';
import type { HostConfig } from './config.ts';

export interface LogLimits {
  /** 0: no limit. */
  readonly maxSizeBytes: number;
  readonly maxFiles: number;
}

/** Rotated by default, so that a chatty container never fills the disk. Docker's own default is one file without limit. */
export const defaultLogLimits: LogLimits = { maxSizeBytes: 10_000_000, maxFiles: 3 };

type LogConfig = HostConfig['LogConfig'];

/** Options of Docker's json-file driver that change what a line holds or how it is written. */
const unsupportedOptions: ReadonlySet<string> = new Set([
  'labels',
  'labels-regex',
  'env',
  'env-regex',
  'tag',
  'compress',
  'max-buffer-size',
]);

export function validateLogConfig(logConfig: LogConfig): void {
  if (logConfig.Type === 'none') return;
  logLimits(logConfig);
}

export function logLimits(logConfig: LogConfig, defaults: LogLimits = defaultLogLimits): LogLimits {
  let limits = defaults;
  for (const [name, value] of Object.entries(logConfig.Config)) {
    if (name === 'max-size') limits = { ...limits, maxSizeBytes: parseSize(value) };
    else if (name === 'max-file') limits = { ...limits, maxFiles: parseCount(value) };
    else if (name === 'mode') refuseMode(value);
    else if (unsupportedOptions.has(name)) throw notImplemented(`--log-opt ${name} is not supported yet: it comes with issue 5`);
    else throw invalid(`unknown log opt '${name}' for json-file log driver`);
  }
  return limits;
}

const units: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1000, m: 1000 ** 2, g: 1000 ** 3, t: 1000 ** 4 };

/** `10m`, `1.5GB`, `-1` (no limit); decimal units, as Docker's json-file reads them. */
function parseSize(text: string): number {
  if (text === '-1') return 0;
  const size = /^(\d+(?:\.\d+)?) ?([kmgt]?)b?$/i.exec(text);
  const bytes = size === null ? Number.NaN : Math.floor(Number(size[1]) * (units[(size[2] ?? '').toLowerCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw invalid(`invalid value for log opt max-size: '${text}'`);
  return bytes;
}

function parseCount(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw invalid(`max-file cannot be less than 1: '${text}'`);
  return count;
}

function refuseMode(mode: string): void {
  if (mode === 'blocking' || mode === '') return;
  if (mode === 'non-blocking') throw notImplemented('--log-opt mode=non-blocking is not supported yet: it comes with issue 5');
  throw invalid(`logger: logging mode not supported: ${mode}`);
}
