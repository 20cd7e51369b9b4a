/** `--log-driver` and `--log-opt`, of a container or of the daemon: merged, checked, and read as what is to be done. Pure. */
import { invalid } from '../base/errors.ts';
import type { HostConfig } from './config.ts';
import type { LogDriver, LogOptions, SinkPlan, Spool } from './logging/log-driver.ts';
import { findLogDriver } from './logging/log-drivers.ts';
import { parseBoolean, parseSize } from './logging/option-values.ts';

export type LogConfig = HostConfig['LogConfig'];

export const defaultLogConfig: LogConfig = { Type: 'json-file', Config: {} };

export interface LogPlan {
  readonly driver: LogDriver;
  /** Null: lines are written nowhere. */
  readonly spool: Spool | null;
  readonly sink: SinkPlan | null;
  /** Whether `logs` shows what was written. */
  readonly readable: boolean;
}

/** Options that every driver has. */
const commonOptions: ReadonlySet<string> = new Set([
  'mode',
  'max-buffer-size',
  'cache-disabled',
  'cache-max-size',
  'cache-max-file',
  'cache-compress',
]);

/** What a container is asked to have, with what the daemon gives to all. */
export function mergeLogConfig(asked: LogConfig, defaults: LogConfig): LogConfig {
  const Type = asked.Type || defaults.Type;
  return { Type, Config: Type === defaults.Type ? { ...defaults.Config, ...asked.Config } : asked.Config };
}

/** Throws with Docker's text. An empty type is json-file. */
export function logPlan({ Type: type, Config: options }: LogConfig): LogPlan {
  const driver = findLogDriver(type || defaultLogConfig.Type);
  if (driver.name === 'none') return { driver, spool: null, sink: null, readable: false };
  checkCommon(options);
  const own = Object.fromEntries(Object.entries(options).filter(([name]) => !commonOptions.has(name)));
  const sink = driver.sink?.(own) ?? null;
  const spool = driver.spool(sink === null ? own : options);
  return { driver, spool, sink, readable: sink === null || !cacheDisabled(options) };
}

function checkCommon(options: LogOptions): void {
  const { mode = '', 'max-buffer-size': buffer } = options;
  if (!['', 'blocking', 'non-blocking'].includes(mode)) throw invalid(`logger: logging mode not supported: ${mode}`);
  if (buffer !== undefined) {
    if (mode !== 'non-blocking') throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    parseSize(buffer, 'memory', (text) => invalid(`error parsing option max-buffer-size: ${text}`));
  }
  cacheDisabled(options);
}

function cacheDisabled({ 'cache-disabled': text }: LogOptions): boolean {
  return text !== undefined && parseBoolean(text, () => invalid(`invalid value for option cache-disabled: ${text}`));
}
