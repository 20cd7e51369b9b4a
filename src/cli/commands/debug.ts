/**
 * `gantry debug CONTAINER`: a shell beside a container that may have none. The tools are a container of their own (busybox, or `--image`) which joins the
 * target's process, network and, where it is shared, IPC namespaces; the target's files are at `/target`, a link to the root of its first process. It
 * may trace the target (SYS_PTRACE) and has nothing else that a plain container has not. It goes when its command ends, and with us: a lease holds it.
 */
import { writeTar } from '../../archive/tar-writer.ts';
import { ApiError } from '../../client/api-client.ts';
import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { checkTerminal } from '../container/check-terminal.ts';
import { consoleSize } from '../container/console-size.ts';
import { runAttached } from '../container/run-attached.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { collectEnvironment, validateEnvironmentEntry } from '../parse/environment.ts';
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';

const TOOLBOX = 'busybox';
const LEASE_GRACE = '2s';

export const debug: Command = {
  usage: '[OPTIONS] CONTAINER [COMMAND] [ARG...]',
  flags: defineFlags(`
  -e, --env list         Set environment variables
      --image string     Image that the tools come from (default "busybox")
  -i, --interactive      Keep STDIN open (default: when it is a terminal)
      --privileged       Give extended privileges to the tools
  -t, --tty              Allocate a pseudo-TTY (default: when STDIN is a terminal)
  -u, --user string      Username or UID of the toolbox image (default: root)
  -w, --workdir string   Working directory inside the toolbox
`),
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  interspersed: false,
  async run(context) {
    const { client, args, io } = context;
    const [name = '', ...command] = args;
    const target = readTarget(await client.containers.inspectRaw(name));
    if (!target.running)
      throw new CliError(`cannot debug ${name}: it does not run. Its files can be read all the same: gantry cp ${name}:/path .`);
    const { tty, stdin } = streams(context);
    checkTerminal(() => io.stdin, stdin, tty);
    const { name: lease } = await client.leases.hold({ grace: LEASE_GRACE });
    const id = await createToolbox(context, toolboxBody(context, target, command, { tty, stdin, lease }));
    if (target.rootLink !== null) await linkTarget(context, id, target.rootLink);
    return runAttached(context, {
      id,
      attach: { stdin, stdout: true, stderr: true },
      tty,
      autoRemove: true,
      signalProxy: !tty,
      detachKeys: '',
      detachKeyBytes: parseDetachKeys(DEFAULT_DETACH_KEYS),
      errorPrefix: 'gantry: ',
    });
  },
};

interface Target {
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  readonly ipcMode: string;
  /** Where its root is seen from its process namespace; null when its first process's number there is not known. */
  readonly rootLink: string | null;
}

interface TargetDetails {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Running: boolean; readonly Pid: number };
  readonly HostConfig: { readonly PidMode: string; readonly IpcMode: string };
}

function readTarget(json: string): Target {
  const { Id, Name, State, HostConfig } = JSON.parse(json) as TargetDetails;
  const { PidMode, IpcMode } = HostConfig;
  const pid = PidMode === 'host' ? State.Pid : PidMode.startsWith('container:') ? null : 1;
  return {
    id: Id,
    name: Name.replace(/^\//, ''),
    running: State.Running,
    ipcMode: IpcMode,
    rootLink: pid === null ? null : `/proc/${pid}/root`,
  };
}

/** As asked for, else by what our standard input is: `echo x | gantry debug c cat` and `gantry debug c` both do what is meant. */
function streams({ flags, io }: CommandContext): { readonly tty: boolean; readonly stdin: boolean } {
  const terminal = io.stdin.isTTY === true && io.stdout.isTTY === true;
  const tty = flags.has('tty') ? flags.bool('tty') : terminal;
  return { tty, stdin: flags.has('interactive') ? flags.bool('interactive') : tty || terminal };
}

function toolboxBody(
  { flags, io }: CommandContext,
  target: Target,
  command: readonly string[],
  { tty, stdin, lease }: { readonly tty: boolean; readonly stdin: boolean; readonly lease: string },
): Record<string, unknown> {
  const defaultCommand = flags.has('image') ? null : ['sh'];
  return {
    Image: flags.string('image'),
    Cmd: command.length > 0 ? command : defaultCommand,
    Env: collectEnvironment([], flags.parsedList('env', validateEnvironmentEntry), io.env),
    User: flags.string('user') || '0',
    WorkingDir: flags.string('workdir'),
    Tty: tty,
    OpenStdin: stdin,
    StdinOnce: stdin,
    AttachStdin: stdin,
    AttachStdout: true,
    AttachStderr: true,
    Labels: { 'gantry.debug': target.name, 'gantry.lease': lease },
    HostConfig: {
      AutoRemove: true,
      PidMode: `container:${target.id}`,
      NetworkMode: `container:${target.id}`,
      ...(target.ipcMode === 'shareable' || target.ipcMode === 'host' ? { IpcMode: `container:${target.id}` } : {}),
      CapAdd: ['CAP_SYS_PTRACE'],
      Privileged: flags.bool('privileged'),
      ConsoleSize: tty ? consoleSize(flags, io) : [0, 0],
    },
  };
}

async function createToolbox(context: CommandContext, body: Record<string, unknown>): Promise<string> {
  const { client, io } = context;
  try {
    return (await client.containers.create(body, {})).Id;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
  }
  const { pullImage } = await import('../image/pull-image.ts');
  const image = String(body.Image);
  await pullImage(context, image, { platform: '', allTags: false, quiet: image === TOOLBOX, tellsTag: false, output: () => io.stderr });
  return (await client.containers.create(body, {})).Id;
}

/** Written into the toolbox's own layer: no image has to bring a shell for it. */
async function linkTarget({ client }: CommandContext, id: string, linkTarget: string): Promise<void> {
  await client.containers.writePath(id, '/', writeTar([{ entry: { type: 'symbolic-link', path: 'target', linkTarget } }]), false);
}
