/** What `gantry registry serve` is told: the configuration file, and flags, which win over it. Read again at SIGHUP. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorText, hasErrnoCode, invalid } from '../../base/errors.ts';
import { repositoryPattern } from '../../registry/configuration/name-pattern.ts';
import {
  type ListenAddress,
  parseListenAddress,
  type RegistryConfiguration,
  readConfiguration,
} from '../../registry/configuration/registry-configuration.ts';
import { isLoopback } from '../listen-addresses.ts';
import { type ToolFlag, ToolFlags } from '../tool-flags.ts';

export interface ServeOptions extends RegistryConfiguration {
  readonly listen: readonly ListenAddress[];
  readonly root: string;
}

export const defaultRegistryRoot = '/var/lib/gantry-registry';
const defaultConfigFile = '/etc/gantry/registry.json';
const defaultListen: ListenAddress = { host: '127.0.0.1', port: 5000 };

export const placeFlags: readonly ToolFlag[] = [
  { name: 'config', kind: 'text', help: `Configuration file, JSON (default: ${defaultConfigFile}, when it is there)` },
  { name: 'root', kind: 'text', help: `Folder that the registry keeps everything in (default: ${defaultRegistryRoot})` },
];

export const serveFlags: readonly ToolFlag[] = [
  ...placeFlags,
  { name: 'listen', kind: 'list', help: 'HOST:PORT to listen on (default: 127.0.0.1:5000)' },
  { name: 'url', kind: 'text', help: 'What clients call this registry, when a proxy stands in front: https://registry.example' },
  { name: 'tls-cert', kind: 'text', help: 'Certificate, PEM; with --tls-key' },
  { name: 'tls-key', kind: 'text', help: 'Its key, PEM' },
  { name: 'tls-client-ca', kind: 'text', help: 'Only clients with a certificate of this authority are served' },
  { name: 'htpasswd', kind: 'text', help: 'Who has a password: a file of USER:HASH, bcrypt (htpasswd -B, or gantry registry htpasswd)' },
  { name: 'anonymous-pull', kind: 'switch', help: 'Everything can be read without a password' },
  { name: 'read-only', kind: 'switch', help: 'Nothing can be pushed or deleted' },
  { name: 'allow-plain-http', kind: 'switch', help: 'Listen without TLS where others reach it: passwords can be read on their way' },
  { name: 'allow-anonymous-push', kind: 'switch', help: 'Without --htpasswd, listen where others reach it: everybody may push and delete' },
  { name: 'audit-log', kind: 'text', help: 'File that gets a line for each write' },
  { name: 'log-format', kind: 'text', help: 'text or json (default: text)' },
  { name: 'log-level', kind: 'text', help: 'debug, info, warn or error (default: info)' },
  { name: 'validate', kind: 'switch', help: 'Only say whether the configuration is right' },
];

export function readServeOptions(flags: ToolFlags): ServeOptions {
  const file = readFile(flags.text('config'));
  const options = withFlags(file, flags);
  if (options.access.rules !== null && options.access.htpasswd === null) throw invalid('access rules need a password file: --htpasswd');
  if (options.access.scheme === 'basic' && options.access.anonymousPull.length > 0)
    throw invalid('--anonymous-pull needs the access scheme "token"');
  refuseOpenAddresses(options);
  return options;
}

/** Of the registry in the daemon: its own file, or none; what the standalone server finds by itself is not for it. */
export function readDaemonRegistryOptions(config: string | null, listen: ListenAddress | null, root: string): ServeOptions {
  const file = config === null ? readConfiguration('{}', 'the defaults') : readFile(config);
  const options = { ...withFlags(file, new ToolFlags(new Map(), [])), root };
  const told = listen === null ? options : { ...options, listen: [listen] };
  refuseOpenAddresses(told);
  return told;
}

/** Of the flags and the file; for subcommands that work on a root. */
export function readRoot(flags: ToolFlags): string {
  return resolve(flags.text('root') ?? readFile(flags.text('config')).root ?? defaultRegistryRoot);
}

/** For work on a root that nobody serves. */
export function readConfigurationOf(flags: ToolFlags): RegistryConfiguration {
  return readFile(flags.text('config'));
}

/** `given` null: the default file, when there is one. */
function readFile(given: string | null): RegistryConfiguration {
  const path = given ?? defaultConfigFile;
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (cause) {
    if (given !== null || !hasErrnoCode(cause, 'ENOENT'))
      throw invalid(`cannot read the configuration file ${path}: ${errorText(cause)}`, { cause });
    content = '{}';
  }
  return readConfiguration(content, path);
}

function withFlags(file: RegistryConfiguration, flags: ToolFlags): ServeOptions {
  const listen = flags.list('listen').map(parseListenAddress);
  const audit = flags.text('audit-log');
  const htpasswd = flags.text('htpasswd');
  // One reader for both: what a flag may say is what the file may say.
  const told = readConfiguration(
    JSON.stringify({
      ...(flags.text('url') === null ? {} : { url: flags.text('url') }),
      log: { level: flags.text('log-level') ?? file.log.level, format: flags.text('log-format') ?? file.log.format },
    }),
    'given by flags',
  );
  return {
    ...file,
    listen: listen.length > 0 ? listen : (file.listen ?? [defaultListen]),
    url: told.url ?? file.url,
    root: resolve(flags.text('root') ?? file.root ?? defaultRegistryRoot),
    readOnly: flags.isOn('read-only') ?? file.readOnly,
    tls: tlsOf(file, flags),
    insecure: {
      plainHttp: flags.isOn('allow-plain-http') ?? file.insecure.plainHttp,
      anonymousPush: flags.isOn('allow-anonymous-push') ?? file.insecure.anonymousPush,
    },
    access: {
      ...file.access,
      htpasswd: htpasswd ?? file.access.htpasswd,
      anonymousPull: anonymousPull(flags.isOn('anonymous-pull')) ?? file.access.anonymousPull,
    },
    audit: audit === null ? file.audit : { path: audit },
    log: told.log,
  };
}

function anonymousPull(isOn: boolean | null) {
  if (isOn === null) return null;
  return isOn ? [repositoryPattern('**')] : [];
}

function tlsOf(file: RegistryConfiguration, flags: ToolFlags): RegistryConfiguration['tls'] {
  const [certificate, key, clientAuthority] = ['tls-cert', 'tls-key', 'tls-client-ca'].map((name) => flags.text(name));
  if ((certificate ?? key) == null) {
    if (clientAuthority == null) return file.tls;
    if (file.tls === null) throw invalid('--tls-client-ca is for --tls-cert and --tls-key');
    return { ...file.tls, clientAuthority };
  }
  if (certificate == null || key == null) throw invalid('--tls-cert and --tls-key belong together');
  return { certificate, key, clientAuthority: clientAuthority ?? file.tls?.clientAuthority ?? null };
}

function refuseOpenAddresses({ listen, tls, access, insecure, readOnly }: ServeOptions): void {
  for (const { host, port } of listen) {
    if (isLoopback(host)) continue;
    const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    if (tls === null && !insecure.plainHttp)
      throw invalid(
        `refusing to listen on ${name} without TLS: passwords and images could be read and changed on their way. Give --tls-cert and --tls-key, ` +
          'or --allow-plain-http ("insecure": {"plainHttp": true}) where something in front does TLS',
      );
    if (access.htpasswd === null && !readOnly && !insecure.anonymousPush)
      throw invalid(
        `refusing to listen on ${name} without passwords: everybody who reaches it could push and delete. Give --htpasswd, or --read-only, ` +
          'or --allow-anonymous-push ("insecure": {"anonymousPush": true}) if you mean it',
      );
  }
}
