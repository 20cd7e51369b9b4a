import { API_VERSION } from '../../client/api-client.ts';
import { versionName } from '../build-name.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, noArguments } from '../command.ts';
import { currentContext } from '../config/daemon-address.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { parseOrExplain } from '../format/row-format.ts';
import { binarySize } from '../format/size-text.ts';
import { executeDocument } from '../inspect/show-objects.ts';

export const info: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags('-f, --format string   Format output: json, or a Go template'),
  args: noArguments,
  async run(context) {
    const format = context.flags.string('format');
    if (format !== '') {
      const document = await context.client.system.infoRaw();
      context.print(format === 'json' ? `${document.trim()}\n` : `${executeDocument(parseOrExplain(format), document)}\n`);
      return 0;
    }
    context.print(clientText(context));
    try {
      context.print(serverText(JSON.parse(await context.client.system.infoRaw()) as Info));
    } catch (error) {
      context.printError(`ERROR: ${errorMessage(error)}\n`);
      throw new CliError('errors pretty printing info', 1, { cause: error });
    }
    return 0;
  },
};

/** The fields that are printed; every daemon leaves some out. */
interface Info {
  readonly [name: string]: unknown;
  readonly DriverStatus?: readonly (readonly [string, string])[] | null;
  readonly Plugins?: Readonly<Record<string, readonly string[] | null>>;
  readonly Swarm?: { readonly LocalNodeState?: string };
  readonly Runtimes?: Readonly<Record<string, unknown>>;
  readonly SecurityOptions?: readonly string[] | null;
  readonly Labels?: readonly string[] | null;
  readonly RegistryConfig?: {
    readonly InsecureRegistryCIDRs?: readonly string[] | null;
    readonly IndexConfigs?: Readonly<Record<string, { readonly Secure: boolean; readonly Mirrors?: readonly string[] | null }>>;
    readonly Mirrors?: readonly string[] | null;
  };
  readonly DefaultAddressPools?: readonly { readonly Base: string; readonly Size: number }[] | null;
  readonly FirewallBackend?: { readonly Driver: string };
  readonly CDISpecDirs?: readonly string[] | null;
  readonly DiscoveredDevices?: readonly { readonly Source: string; readonly ID: string }[] | null;
  readonly Warnings?: readonly string[] | null;
  readonly MemTotal?: number;
}

function clientText(context: CommandContext): string {
  return [
    'Client: Gantry',
    ` Version:    ${versionName}`,
    ` API:        ${API_VERSION}`,
    ` Context:    ${currentContext(context.io.env, context.config).name}`,
    ` Daemon at:  ${context.address}`,
    '',
    'Server:',
    '',
  ].join('\n');
}

function serverText(info: Info): string {
  const lines: string[] = [];
  const add = (title: string, value: unknown): void => {
    if (value !== undefined && value !== null && value !== '') lines.push(` ${title}: ${String(value)}`);
  };
  add('Containers', info.Containers);
  for (const state of ['Running', 'Paused', 'Stopped']) add(` ${state}`, info[`Containers${state}`]);
  add('Images', info.Images);
  add('Server Version', info.ServerVersion);
  add('Storage Driver', info.Driver);
  for (const [key, value] of info.DriverStatus ?? []) add(` ${key}`, value);
  add('Logging Driver', info.LoggingDriver);
  add('Cgroup Driver', info.CgroupDriver);
  add('Cgroup Version', info.CgroupVersion);
  lines.push(...pluginLines(info), ...deviceLines(info));
  add('Swarm', info.Swarm?.LocalNodeState);
  add(
    'Runtimes',
    Object.keys(info.Runtimes ?? {})
      .sort()
      .join(' '),
  );
  add('Default Runtime', info.DefaultRuntime);
  add('Init Binary', info.InitBinary);
  lines.push(...securityLines(info));
  add('Kernel Version', info.KernelVersion);
  add('Operating System', info.OperatingSystem);
  add('OSType', info.OSType);
  add('Architecture', info.Architecture);
  add('CPUs', info.NCPU);
  add('Total Memory', binarySize(info.MemTotal ?? 0));
  add('Name', info.Name);
  add('ID', info.ID);
  add('Docker Root Dir', info.DockerRootDir);
  add('Debug Mode', info.Debug ?? false);
  for (const [title, field] of [
    ['HTTP Proxy', 'HttpProxy'],
    ['HTTPS Proxy', 'HttpsProxy'],
    ['No Proxy', 'NoProxy'],
  ] as const)
    add(title, info[field]);
  for (const [title, list] of [['Labels', info.Labels ?? []]] as const)
    if (list.length > 0) lines.push(` ${title}:`, ...list.map((label) => `  ${label}`));
  add('Experimental', info.ExperimentalBuild ?? false);
  lines.push(...registryLines(info));
  add('Live Restore Enabled', info.LiveRestoreEnabled ?? false);
  const pools = info.DefaultAddressPools ?? [];
  if (pools.length > 0) lines.push(' Default Address Pools:', ...pools.map(({ Base, Size }) => `  Base: ${Base}, Size: ${Size}`));
  add('Firewall Backend', info.FirewallBackend?.Driver);
  return `${lines.join('\n')}\n\n${(info.Warnings ?? []).map((warning) => `${warning}\n`).join('')}`;
}

function pluginLines(info: Info): string[] {
  const names = Object.entries(info.Plugins ?? {}).filter(([, plugins]) => Array.isArray(plugins) && plugins.length > 0);
  return names.length === 0 ? [] : [' Plugins:', ...names.map(([kind, plugins]) => `  ${kind}: ${(plugins ?? []).join(' ')}`)];
}

function deviceLines({ CDISpecDirs: directories, DiscoveredDevices: devices }: Info): string[] {
  return [
    ...(directories?.length ? [' CDI spec directories:', ...directories.map((directory) => `  ${directory}`)] : []),
    ...(devices?.length ? [' Discovered Devices:', ...devices.map(({ Source, ID }) => `  ${Source}: ${ID}`)] : []),
  ];
}

/** `name=seccomp,profile=builtin` → the name, and its settings below. */
function securityLines(info: Info): string[] {
  const options = info.SecurityOptions ?? [];
  if (options.length === 0) return [];
  const lines = [' Security Options:'];
  for (const option of options) {
    for (const pair of option.split(',')) {
      const [key = '', value = ''] = pair.split('=');
      lines.push(key === 'name' ? `  ${value}` : `   ${key === 'profile' ? 'Profile' : key}: ${value}`);
    }
  }
  return lines;
}

function registryLines(info: Info): string[] {
  const config = info.RegistryConfig;
  if (config === undefined) return [];
  const insecure = [
    ...Object.entries(config.IndexConfigs ?? {}).flatMap(([name, index]) => (index.Secure ? [] : [name])),
    ...(config.InsecureRegistryCIDRs ?? []),
  ];
  return [
    ...(insecure.length > 0 ? [' Insecure Registries:', ...insecure.map((name) => `  ${name}`)] : []),
    ...(config.Mirrors?.length ? [' Registry Mirrors:', ...config.Mirrors.map((mirror) => `  ${mirror}`)] : []),
  ];
}
