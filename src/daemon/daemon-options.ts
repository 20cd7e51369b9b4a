/** The daemon's options: the command line and the configuration file, read, merged and checked. */
import { readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { errorText, hasErrnoCode, invalid } from '../base/errors.ts';
import type { LogConfig } from '../containers/log-config.ts';
import type { ResourceDefaults } from '../containers/resource-defaults.ts';
import type { SecurityDefaults } from '../containers/security-defaults.ts';
import type { DeviceSettings } from '../devices/devices.ts';
import type { NetworkSettings } from '../network/network-settings.ts';
import { type BuildOptions, buildOptions } from './build-options.ts';
import { refuseUnbuilt, settings } from './daemon-settings.ts';
import { deviceOptions } from './device-options.ts';
import { type ListenOptions, parseListenAddress, refuseOpenTcp, tlsFiles } from './listen-addresses.ts';
import { logDefaults } from './log-options.ts';
import { networkSettings } from './network-options.ts';
import { type RegistryOptions, registryOptions } from './registry-options.ts';
import { resourceOptions } from './resource-options.ts';
import { type RuntimeOptions, runtimeOptions } from './runtime-options.ts';
import { securityOptions } from './security-options.ts';
import type { Setting } from './setting.ts';
import { parseSwitch } from './switch-text.ts';
import { type WithRegistry, withRegistryOptions } from './with-registry-options.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal';

export interface DaemonOptions extends ListenOptions {
  /** What was said, by flag: to tell what changed at a reload. */
  readonly given: RawValues;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidfile: string | null;
  /** Null: `gantry`, else `docker`, whichever exists. */
  readonly group: string | null;
  readonly labels: readonly string[];
  readonly liveRestore: boolean;
  readonly shutdownTimeoutSeconds: number;
  /** Containers that don't say get an init. */
  readonly init: boolean;
  /** Null: ours. */
  readonly initPath: string | null;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
  /** Log driver and options of containers that do not say them. */
  readonly containerLogs: LogConfig;
  readonly network: NetworkSettings;
  readonly runtimes: RuntimeOptions;
  readonly security: SecurityDefaults;
  readonly resources: ResourceDefaults;
  readonly registries: RegistryOptions;
  /** Null: the daemon serves none. */
  readonly withRegistry: WithRegistry | null;
  readonly build: BuildOptions;
  readonly devices: DeviceSettings;
}

export const defaultDataRoot = '/var/lib/gantry';
const defaultExecRoot = '/run/gantry';
const defaultConfigFile = '/etc/gantry/daemon.json';

/** Values as text, by flag name. A switch is `true` or `false`. */
type RawValues = ReadonlyMap<string, readonly string[]>;

/** `validate`: everything is as it should be, and nothing else was asked for. `environment`: of the daemon, for proxies. */
export function readDaemonOptions(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): DaemonOptions | 'help' | 'version' | 'validate' {
  const fromFlags = parseFlags(argv);
  if (fromFlags === 'help' || fromFlags === 'version') return fromFlags;
  const fromFile = readConfigFile(fromFlags.get('config-file')?.at(-1) ?? null);
  const both = [...fromFlags.keys()].filter((flag) => fromFile.has(flag));
  if (both.length > 0)
    throw invalid(`these options are given both as a flag and in the configuration file: ${both.join(', ')}. Remove one of the two`);
  const options = checkOptions(new Map([...fromFile, ...fromFlags]), environment);
  return parseSwitch(fromFlags.get('validate')?.at(-1) ?? 'false', '--validate') ? 'validate' : options;
}

export function daemonHelp(): string {
  const lines = settings
    .filter(({ unbuilt }) => unbuilt === undefined)
    .map(({ flag, short, kind, help }) => {
      const left = `  ${short === undefined ? '   ' : `-${short},`} --${flag}${kind === 'switch' ? '' : ` ${kind.toUpperCase()}`}`;
      return `${left.padEnd(34)}${help}`;
    });
  return ['Usage: gantry daemon [OPTIONS]', '', 'Runs the daemon in the foreground.', '', 'Options:', ...lines, ''].join('\n');
}

function parseFlags(argv: readonly string[]): RawValues | 'help' | 'version' {
  const values = new Map<string, string[]>();
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === '--help' || argument === '-h') return 'help';
    if (argument === '--version' || argument === '-v') return 'version';
    const { setting, name, inline } = splitFlag(argument);
    const value = inline ?? (setting.kind === 'switch' ? 'true' : rest.shift());
    if (value === undefined) throw invalid(`flag needs an argument: ${name}`);
    values.set(setting.flag, [...(values.get(setting.flag) ?? []), value]);
  }
  for (const [flag, given] of values) refuseUnbuilt(settingOf(flag), `--${flag}`, given);
  return values;
}

function splitFlag(argument: string): { readonly setting: Setting; readonly name: string; readonly inline: string | undefined } {
  const long = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
  const short = /^-([A-Za-z])(?:=?(.+))?$/s.exec(argument);
  const setting =
    long !== null
      ? settings.find(({ flag }) => flag === long[1])
      : settings.find((candidate) => candidate.short !== undefined && candidate.short === short?.[1]);
  if (setting !== undefined) return { setting, name: `--${setting.flag}`, inline: (long ?? short)?.[2] };
  throw argument.startsWith('-')
    ? invalid(`unknown flag: ${argument.split('=', 1)[0]}. See gantry daemon --help`)
    : invalid(`gantry daemon takes no arguments, but got ${JSON.stringify(argument)}. See gantry daemon --help`);
}

function settingOf(flag: string): Setting {
  const found = settings.find((setting) => setting.flag === flag);
  if (found === undefined) throw invalid(`unknown option ${flag}`);
  return found;
}

/** `given` null: the default file, when there is one. */
function readConfigFile(given: string | null): RawValues {
  const path = given ?? defaultConfigFile;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (given === null && hasErrnoCode(cause, 'ENOENT')) return new Map();
    throw invalid(`cannot read the configuration file ${path}: ${errorText(cause)}`, { cause });
  }
  return configValues(parseConfig(text, path), path);
}

function parseConfig(text: string, path: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid(`the configuration file ${path} is not JSON: ${errorText(cause)}`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw invalid(`the configuration file ${path} must hold a JSON object`);
  return parsed;
}

function configValues(config: object, path: string): RawValues {
  const values = new Map<string, readonly string[]>();
  for (const [key, value] of Object.entries(config).flatMap((entry) => innerEntries(entry, path))) {
    const setting = settings.find((candidate) => candidate.key === key);
    if (setting === undefined) throw invalid(`the configuration file ${path} has an unknown key: ${key}`);
    const texts = configTexts(setting, value, `${path}: ${key}`);
    refuseUnbuilt(setting, `${path}: ${key}`, texts);
    values.set(setting.flag, texts);
  }
  return values;
}

/** `{"proxies": {"http-proxy": …}}` is the setting `proxies.http-proxy`. */
function innerEntries([key, value]: readonly [string, unknown], path: string): readonly (readonly [string, unknown])[] {
  if (key.includes('.')) throw invalid(`the configuration file ${path} has an unknown key: ${key}`);
  if (!settings.some((setting) => setting.key?.startsWith(`${key}.`))) return [[key, value]];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${path}: ${key} must be an object`);
  return Object.entries(value).map(([inner, innerValue]) => [`${key}.${inner}`, innerValue]);
}

function configTexts(setting: Setting, value: unknown, name: string): readonly string[] {
  if (setting.fromJson !== undefined) return setting.fromJson(value, name);
  // The value of what is not built only has to be shown.
  if (setting.unbuilt !== undefined) return Array.isArray(value) ? value.map((item) => shown(item)) : [shown(value)];
  switch (setting.kind) {
    case 'switch':
      if (typeof value === 'boolean') return [String(value)];
      throw invalid(`${name} must be true or false`);
    case 'number':
      if (typeof value === 'number') return [String(value)];
      throw invalid(`${name} must be a number`);
    case 'text':
      if (typeof value === 'string') return [value];
      throw invalid(`${name} must be a string`);
    case 'list':
      if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
      throw invalid(`${name} must be a list of strings`);
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function checkOptions(values: RawValues, environment: NodeJS.ProcessEnv): DaemonOptions {
  const one = (flag: string) => values.get(flag)?.at(-1) ?? null;
  const execRoot = directoryOption(one('exec-root') ?? defaultExecRoot, '--exec-root');
  const hosts = values.get('host') ?? [`unix://${join(execRoot, 'gantry.sock')}`];
  const listen = listenOptions(values, hosts);
  const debug = parseSwitch(one('debug') ?? 'false', '--debug');
  return {
    ...listen,
    given: values,
    dataRoot: directoryOption(one('data-root') ?? defaultDataRoot, '--data-root'),
    execRoot,
    // The bootstrap script and `system stop` find the daemon by it; an empty value means none.
    pidfile: one('pidfile') === '' ? null : resolve(one('pidfile') ?? join(execRoot, 'gantry.pid')),
    group: one('group') === '' ? null : one('group'),
    labels: (values.get('label') ?? []).map(checkLabel),
    liveRestore: parseSwitch(one('live-restore') ?? 'true', '--live-restore'),
    init: parseSwitch(one('init') ?? 'false', '--init'),
    initPath: absolutePath(one('init-path'), '--init-path'),
    shutdownTimeoutSeconds: wholeNumber(one('shutdown-timeout') ?? '15', '--shutdown-timeout'),
    logLevel: debug ? 'debug' : oneOf(one('log-level') ?? 'info', ['debug', 'info', 'warn', 'error', 'fatal'], '--log-level'),
    logFormat: oneOf(one('log-format') ?? 'text', ['text', 'json'], '--log-format'),
    containerLogs: logDefaults(values),
    network: networkSettings(values),
    runtimes: runtimeOptions(values),
    security: securityOptions(values),
    resources: resourceOptions(values),
    withRegistry: withRegistryOptions(values),
    build: buildOptions(values),
    devices: deviceOptions(values),
    registries: registryOptions(values, environment),
  };
}

function listenOptions(values: RawValues, hosts: readonly string[]): ListenOptions {
  const one = (flag: string) => values.get(flag)?.at(-1) ?? null;
  const isOn = (flag: string) => parseSwitch(one(flag) ?? 'false', `--${flag}`);
  const tls = tlsFiles({
    verify: isOn('tlsverify'),
    tls: isOn('tls'),
    authority: one('tlscacert'),
    certificate: one('tlscert'),
    key: one('tlskey'),
  });
  const options = { addresses: hosts.map((host) => parseListenAddress(host, tls !== null)), tls, insecureTcp: isOn('insecure-tcp') };
  refuseOpenTcp(options);
  return options;
}

function absolutePath(path: string | null, name: string): string | null {
  if (path === null || path === '') return null;
  if (!isAbsolute(path)) throw invalid(`invalid value for ${name}: ${JSON.stringify(path)} is not an absolute path`);
  return path;
}

function directoryOption(path: string, name: string): string {
  if (path === '') throw invalid(`${name} must not be empty`);
  return resolve(path);
}

function checkLabel(label: string): string {
  if (!label.includes('=')) throw invalid(`bad attribute format: ${label}. A label is KEY=VALUE`);
  return label;
}

function wholeNumber(text: string, name: string): number {
  if (!/^-?\d+$/.test(text)) throw invalid(`invalid value for ${name}: ${JSON.stringify(text)} is not a whole number`);
  return Number(text);
}

function oneOf<T extends string>(text: string, allowed: readonly T[], name: string): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw invalid(`invalid value for ${name}: ${JSON.stringify(text)}. One of ${allowed.join(', ')}`);
  return found;
}
