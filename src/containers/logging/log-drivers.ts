/** All log drivers by name. */
import { invalid, notImplemented } from '../../base/errors.ts';
import { jsonFileDriver, localDriver, noneDriver } from './file-drivers.ts';
import { fluentdDriver } from './fluentd-driver.ts';
import { gelfDriver } from './gelf-driver.ts';
import { journaldDriver } from './journald-driver.ts';
import type { LogDriver } from './log-driver.ts';
import { syslogDriver } from './syslog-driver.ts';

const drivers: readonly LogDriver[] = [fluentdDriver, gelfDriver, journaldDriver, jsonFileDriver, localDriver, noneDriver, syslogDriver];

/** As `info` lists them. */
export const logDriverNames: readonly string[] = drivers.map(({ name }) => name).filter((name) => name !== 'none');

const otherDriversOfDocker = ['awslogs', 'gcplogs', 'splunk', 'etwlogs', 'logentries'];

export function findLogDriver(name: string): LogDriver {
  const found = drivers.find((driver) => driver.name === name);
  if (found !== undefined) return found;
  if (otherDriversOfDocker.includes(name)) {
    throw notImplemented(`the log driver ${name} is not supported: Gantry has ${logDriverNames.join(', ')} and none`);
  }
  throw invalid(`error looking up logging plugin ${name}: plugin "${name}" not found`);
}
