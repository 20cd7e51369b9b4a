import { arch } from 'node:os';
import { API_VERSION } from '../../client/api-client.ts';
import { ConnectError } from '../../client/connection.ts';
import type { VersionAnswer, VersionComponent } from '../../client/types.ts';
import { versionName } from '../build-name.ts';
import { type Command, type CommandContext, noArguments } from '../command.ts';
import { currentContext } from '../config/daemon-address.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { executeOrExplain, parseOrExplain } from '../format/row-format.ts';
import { alignColumns } from '../format/tab-writer.ts';
import { inspectValue } from '../inspect/inspect-value.ts';
import { executeTemplate } from '../template/evaluate.ts';
import { templateFunctions } from '../template/functions.ts';

export const version: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags('-f, --format string   Format output: json, or a Go template'),
  args: noArguments,
  async run(context) {
    const format = context.flags.string('format');
    const client = clientFacts(context);
    let server: VersionAnswer | null = null;
    let failure: unknown = null;
    try {
      server = await context.client.system.version();
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      failure = error;
    }
    if (format === '') context.print(versionText(client, server));
    else {
      const template = parseOrExplain(format === 'json' ? '{{json .}}' : format);
      const value = inspectValue({ Client: client, Server: server === null ? null : { ...server, Engine: undefined } });
      context.print(`${executeOrExplain(() => executeTemplate(template, value, templateFunctions))}\n`);
    }
    if (failure !== null) throw failure;
    if (server !== null) tellOtherBuild(context, server);
    return 0;
  },
};

interface ClientFacts {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly DefaultAPIVersion: string;
  readonly GitCommit: string;
  readonly GoVersion: string;
  readonly Os: string;
  readonly Arch: string;
  readonly Context: string;
}

function clientFacts(context: CommandContext): ClientFacts {
  return {
    Version: versionName,
    ApiVersion: API_VERSION,
    DefaultAPIVersion: API_VERSION,
    GitCommit: context.build,
    // Docker's template field; scripts read it, and what runs us is the honest answer.
    GoVersion: `node ${process.versions.node}`,
    Os: 'linux',
    Arch: arch() === 'x64' ? 'amd64' : arch(),
    Context: currentContext(context.io.env, context.config).name,
  };
}

function versionText(client: ClientFacts, server: VersionAnswer | null): string {
  const lines = [
    'Client: Gantry',
    ` Version:\t${client.Version}`,
    ` API version:\t${client.ApiVersion}`,
    ` Runtime:\t${client.GoVersion}`,
    ` Build:\t${client.GitCommit || 'not bundled'}`,
    ` OS/Arch:\t${client.Os}/${client.Arch}`,
    ` Context:\t${client.Context}`,
    ...(server === null ? [] : ['', ...serverLines(server)]),
  ];
  return `${alignColumns(lines.join('\n'), 20, 1)}\n`;
}

function serverLines(server: VersionAnswer): string[] {
  const components = server.Components?.length ? server.Components : [fromTopLevel(server)];
  return [
    `Server:${server.Platform?.Name ? ` ${server.Platform.Name}` : ''}`,
    ...components.flatMap((component) => componentLines(component, server)),
  ];
}

function fromTopLevel(server: VersionAnswer): VersionComponent {
  const { ApiVersion, MinAPIVersion = '', GitCommit = '', Os, Arch } = server;
  return { Name: 'Engine', Version: server.Version, Details: { ApiVersion, MinAPIVersion, GitCommit, Os, Arch } };
}

/** The details that `docker version` words; others come by their own names. */
function componentLines(component: VersionComponent, server: VersionAnswer): string[] {
  const {
    ApiVersion,
    MinAPIVersion,
    Os,
    Arch,
    GoVersion,
    GitCommit,
    BuildTime,
    Experimental,
    KernelVersion: _kernel,
    ...others
  } = component.Details ?? {};
  const line = (title: string, value: string | undefined): string[] =>
    value === undefined || value === '' ? [] : [`  ${title}:\t${value}`];
  return [
    ` ${component.Name}:`,
    ...line('Version', component.Version),
    ...line(
      'API version',
      ApiVersion === undefined ? undefined : `${ApiVersion} (minimum version ${MinAPIVersion ?? server.MinAPIVersion ?? ''})`,
    ),
    ...line('Runtime', GoVersion),
    ...line('Git commit', GitCommit),
    ...line('Built', builtText(BuildTime)),
    ...line('OS/Arch', Os === undefined ? undefined : `${Os}/${Arch ?? ''}`),
    ...line('Experimental', Experimental),
    ...Object.entries(others).flatMap(([title, value]) => line(title, value)),
  ];
}

/** `Sat Nov 21 09:38:11 2026` */
function builtText(time: string | undefined): string | undefined {
  const date = new Date(time ?? '');
  if (Number.isNaN(date.getTime())) return time;
  const [weekday = '', day = '', month = '', year = '', clock = ''] = date.toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${day.replace(/^0/, ' ')} ${clock} ${year}`;
}

/** Client and daemon are updated together; after an update the daemon may still be the old one. */
function tellOtherBuild(context: CommandContext, server: VersionAnswer): void {
  const daemon = server.Components?.find((component) => component.Name === 'Gantry' || component.Details?.Build !== undefined)?.Details
    ?.Build;
  if (daemon === undefined || context.build === '' || daemon === context.build) return;
  context.printError(
    `gantry: the daemon is another build (${daemon}) than this command (${context.build}): restart it with \`gantry system stop\`\n`,
  );
}
