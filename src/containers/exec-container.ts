/** `docker exec`: create, start once, and what remains to be asked afterwards. */
import { randomBytes } from 'node:crypto';
import { conflict, invalid } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { readFileInRoot } from '../linux/path-in-root.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import { resolveUser } from '../oci/users.ts';
import { type RunningExec, StartError } from '../runtime/runtime.ts';
import type { ExecConfig } from './config.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { editsOfExec } from './container-devices.ts';
import { cgroupsPathOf } from './container-paths.ts';
import { linkVariablesOf } from './container-sandbox.ts';
import { type Running, requireRunning } from './container-state.ts';
import type { AttachSession, ExecStartOptions } from './containers.ts';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { hostDevices } from './devices.ts';
import type { Exec } from './exec-registry.ts';
import { execSpec } from './exec-spec.ts';
import { refusePaused } from './pause-container.ts';
import { execErrorText } from './start-error-text.ts';
import { StdioRelay } from './stdio-relay.ts';
import { validateProcess } from './validate-create.ts';

const maxUserFileBytes = 8 * 1024 * 1024;

/** The exit code of an exec whose start failed for no reason of its own. */
const failedExecCode = 126;

export function createExec(context: ContainerContext, container: Container, config: ExecConfig): string {
  requireRunning(container.id, container.state);
  if (config.Cmd.length === 0) throw invalid('No exec command specified');
  validateProcess(config);
  parseDetachKeys(config.DetachKeys);
  return addExec(context, container, config, randomBytes(32).toString('hex')).id;
}

export function addExec(context: ContainerContext, container: Container, config: ExecConfig, id: string): Exec {
  const exec: Exec = { id, containerId: container.id, config, state: { kind: 'created' } };
  context.execs.add(exec);
  context.events.emit(`exec_create: ${shownCommand(config)}`, container, { execID: exec.id });
  return exec;
}

export async function startExec(context: ContainerContext, exec: Exec, options: ExecStartOptions): Promise<AttachSession | null> {
  if (exec.state.kind === 'ended') throw conflict(`Error: Exec command ${exec.id} has already run`);
  if (exec.state.kind !== 'created') throw conflict(`Error: Exec command ${exec.id} is already running`);
  const container = context.registry.resolve(exec.containerId);
  const running = requireRunning(container.id, container.state);
  refusePaused(container, `Container ${container.id}`, 'exec');
  exec.state = { kind: 'starting' };
  context.events.emit(`exec_start: ${shownCommand(exec.config)}`, container, { execID: exec.id });
  const process = await launch(context, container, running, exec, options);
  failpoint('exec.process-runs');
  exec.state = { kind: 'running', process };
  const ended = followExec(context, container, exec, process);
  if (options.detach || process.stream === null) {
    process.stream?.destroy();
    return null;
  }
  return execSession(context, container, exec, process, ended);
}

async function launch(
  context: ContainerContext,
  container: Container,
  running: Running,
  exec: Exec,
  options: ExecStartOptions,
): Promise<RunningExec> {
  const attached = !options.detach;
  const { config } = exec;
  try {
    return await running.process.exec({
      id: exec.id,
      spec: specOf(context, container, running, config, options),
      stdin: attached && config.AttachStdin,
      stdout: attached && config.AttachStdout,
      stderr: attached && config.AttachStderr,
    });
  } catch (error) {
    const failure = error instanceof StartError ? new StartError(execErrorText(error), error.exitCode, { cause: error }) : error;
    // 128 means nothing to a client of exec; Docker's fallback is 126.
    const code = error instanceof StartError && error.exitCode !== 128 ? error.exitCode : failedExecCode;
    context.execs.end(exec, code, 0);
    throw failure;
  }
}

function specOf(
  context: ContainerContext,
  container: Container,
  running: Running,
  exec: ExecConfig,
  { tty, consoleSize }: ExecStartOptions,
): RuntimeSpec {
  const { pid } = running.process;
  // As the container is now, through its own eyes: regular files below its root, by nobody's libraries.
  const text = (path: string) => readFileInRoot(`/proc/${pid}/root`, path, maxUserFileBytes)?.toString() ?? null;
  const files = { passwd: text('/etc/passwd'), group: text('/etc/group') };
  const groups = container.hostConfig.GroupAdd ?? [];
  return execSpec({
    container: {
      id: container.id,
      config: container.config,
      hostConfig: container.hostConfig,
      user: resolveUser(container.config.User, groups, files),
      host: context.host,
      files: container.paths,
      // Made when it was started.
      mounts: [],
      cgroupsPath: cgroupsPathOf(context, container),
      // Entered by the init's pidfd whatever they were made from.
      joined: { network: `/proc/${pid}/ns/net`, pid: `/proc/${pid}/ns/pid`, ipc: `/proc/${pid}/ns/ipc`, ipcMounts: null },
      idRange: container.record.idRange ?? null,
      linkVariables: linkVariablesOf(context, container),
      findDevices: hostDevices,
      edits: editsOfExec(container),
    },
    exec: { ...exec, Tty: tty },
    user: resolveUser(exec.User || container.config.User, groups, files),
    consoleSize: consoleSize ?? exec.ConsoleSize ?? [0, 0],
  });
}

/** Docker's events put a blank after the program even when no arguments follow. */
function shownCommand({ Cmd: [program = '', ...args] }: ExecConfig): string {
  return `${program} ${args.join(' ')}`;
}

/** Also for execs that were found running after a restart of the daemon. */
export async function followExec(context: ContainerContext, container: Container, exec: Exec, process: RunningExec): Promise<void> {
  const exit = await process.exited;
  const exitCode = exit === 'lost' ? 255 : exit;
  context.execs.end(exec, exitCode, process.pid);
  context.events.emit('exec_die', container, { execID: exec.id, exitCode: String(exitCode) });
}

function execSession(
  context: ContainerContext,
  container: Container,
  exec: Exec,
  process: RunningExec,
  ended: Promise<void>,
): AttachSession {
  const { config } = exec;
  const relay = new StdioRelay({
    stdin: config.AttachStdin,
    detach: config.Tty && config.AttachStdin ? new DetachScanner(parseDetachKeys(config.DetachKeys)) : null,
    onDetach: () => context.events.emit('exec_detach', container, { execID: exec.id }),
    ended,
  });
  if (process.stream !== null) relay.connect(process.stream);
  return { tty: config.Tty, stream: relay };
}
