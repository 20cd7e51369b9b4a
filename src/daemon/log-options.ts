/** `--log-driver` and `--log-opt`: what containers get that do not say it themselves. */
import { errorText, invalid } from '../base/errors.ts';
import { defaultLogConfig, type LogConfig, logPlan } from '../containers/log-config.ts';
import type { Setting } from './setting.ts';

export const logOptionTable: readonly Setting[] = [
  { flag: 'log-driver', key: 'log-driver', kind: 'text', help: 'log driver of containers that name none (json-file)' },
  { flag: 'log-opt', key: 'log-opts', kind: 'list', help: 'NAME=VALUE for that driver (repeatable)', fromJson: optionTexts },
];

/** Checked as if a container asked for it, so that a wrong option is told when the daemon starts and not with every container. */
export function logDefaults(values: ReadonlyMap<string, readonly string[]>): LogConfig {
  const options = (values.get('log-opt') ?? []).map((text): [string, string] => {
    const equals = text.indexOf('=');
    if (equals < 1) throw invalid(`invalid value for --log-opt: ${JSON.stringify(text)} is not NAME=VALUE`);
    return [text.slice(0, equals), text.slice(equals + 1)];
  });
  const config: LogConfig = { Type: values.get('log-driver')?.at(-1) ?? defaultLogConfig.Type, Config: Object.fromEntries(options) };
  try {
    logPlan(config);
    return config;
  } catch (error) {
    throw invalid(`cannot use --log-driver ${config.Type} with its --log-opt: ${errorText(error)}`, { cause: error });
  }
}

/** `{"max-size": "10m"}` */
function optionTexts(value: unknown, name: string): readonly string[] {
  const wrong = () => invalid(`${name} must be an object of texts, like {"max-size": "10m"}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong();
  return Object.entries(value).map(([option, setting]) => {
    if (typeof setting !== 'string') throw wrong();
    return `${option}=${setting}`;
  });
}
