/**
 * Start:   network ┐
 *            mounts  ├──▶ user ──▶ spec ──▶ runtime.start ──▶ state running, stored ──▶ `start`
 *            devices │
 *            files   ┘
 *
 * A start that fails leaves the container as it was and off its networks and without devices, with the failure's exit code and text; it still answers who waits, and removes what was `--rm`.
 */
import { dirname } from 'node:path';
import { conflict, EngineError, errorText } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { DeviceGrant } from '../devices/devices.ts';
import { giveRealtimeBudget } from '../linux/cgroup-realtime.ts';
import type { Sandbox } from '../network/networks.ts';
import { resolveUser } from '../oci/users.ts';
import { maxAttachments } from '../runtime/protocol.ts';
import { type RunningContainer, StartError, type StartRequest, type StdinMode } from '../runtime/runtime.ts';
import { trackStream } from './attach-container.ts';
import type { Container, WaitingAttachment } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { grantDevices, prepareDevices, releaseDevices } from './container-devices.ts';
import { type ContainerPaths, cgroupsPathOf } from './container-paths.ts';
import { type OverlayRootfs, prepareRootfs } from './container-rootfs.ts';
import { joinNetworks, leaveNetworks, lendInterfaces, linkVariablesOf, requireLinks, tellLinked } from './container-sandbox.ts';
import type { Running } from './container-state.ts';
import { hostDevices } from './devices.ts';
import { healthCheckOf, startingHealth } from './health.ts';
import { initOf } from './init-program.ts';
import { logPlan } from './log-config.ts';
import { isPaused } from './pause-container.ts';
import { prepareMounts, releaseMounts } from './prepare-mounts.ts';
import { removeContainer } from './remove-container.ts';
import { noRestarts } from './restart-policy.ts';
import { enterRunning } from './run-container.ts';
import { runtimeSpec } from './runtime-spec.ts';
import type { MountToMake } from './spec-mounts.ts';
import type { JoinedNamespaces } from './spec-namespaces.ts';
import { startErrorText } from './start-error-text.ts';

/** Without a code of its own, a failed start is Docker's 128. */
const failedStartCode = 128;

/** Runs inside the container's lane. A start by hand forgets earlier restarts and stops; one that waits for its policy's restart counts as running, as in Docker. */
export async function startContainer(
  context: ContainerContext,
  container: Container,
  by: 'hand' | 'policy' = 'hand',
): Promise<'started' | 'already-running'> {
  const { status } = container.state;
  if (isPaused(container)) throw conflict('cannot start a paused container, try unpause instead');
  if (status === 'running' || (status === 'restarting' && by === 'hand')) return 'already-running';
  if (status === 'removing' || status === 'dead') throw conflict('container is marked for removal and cannot be started');
  await container.released;
  if (by === 'hand') container.restarts = noRestarts;
  // The others see the process a moment later, as if they had come then.
  const attachments = takeAttachments(container, maxAttachments);
  const network = prepareNetwork(context, container);
  // Whoever fails first is told; this one is looked at below.
  network.catch(() => {});
  const mounts = prepareMounts(context, container);
  mounts.catch(() => {});
  const devices = grantDevices(context, container);
  devices.catch(() => {});
  const parts = { network, mounts, devices };
  try {
    // A restart by policy does not need the receiver: lines wait for it.
    if (by === 'hand') await context.logs.check(container);
    const request = await startRequest(context, container, attachments, parts);
    failpoint('start.prepared');
    const process = await context.runtime.start(request);
    failpoint('start.process-runs');
    await enterStarted(context, container, process, attachments);
    return 'started';
  } catch (error) {
    await leaveAfterFailure(context, container, parts);
    throw await enterFailed(context, container, attachments, error);
  }
}

/** What a start makes or borrows of a network. */
interface PreparedNetwork {
  /** `/proc/…` of the namespace; null: the container gets a new one, or the host's. */
  readonly namespace: string | null;
  /** Whose hosts, hostname and resolv.conf it has. */
  readonly files: ContainerPaths;
  readonly keep: Sandbox['keep'];
}

async function prepareNetwork(context: ContainerContext, container: Container): Promise<PreparedNetwork> {
  const joined = joinedContainer(context, container.hostConfig.NetworkMode, 'network');
  if (joined !== null) return { namespace: `/proc/${joined.pid}/ns/net`, files: joined.paths, keep: [] };
  requireLinks(context, container);
  const sandbox = await joinNetworks(context, container);
  return { namespace: sandbox?.namespacePath ?? null, files: container.paths, keep: sandbox?.keep ?? [] };
}

/** What a start prepares side by side. */
interface StartParts {
  readonly network: Promise<PreparedNetwork>;
  readonly mounts: Promise<readonly MountToMake[]>;
  readonly devices: Promise<DeviceGrant>;
}

async function leaveAfterFailure(context: ContainerContext, container: Container, { network, mounts, devices }: StartParts): Promise<void> {
  await network.catch(() => {});
  await devices.catch(() => {});
  // A process that runs although its start could not be told: its end looks after all of them.
  if (container.state.status === 'running') return;
  await leaveNetworks(context, container, null);
  await releaseMounts(context, container, mounts);
  await releaseDevices(context, container);
}

async function startRequest(
  context: ContainerContext,
  container: Container,
  attachments: readonly WaitingAttachment[],
  parts: StartParts,
): Promise<StartRequest> {
  const { config, hostConfig } = container;
  const joinedPid = joinedContainer(context, hostConfig.PidMode, 'PID');
  const [{ rootfs, userFiles }, network, mounts, grant] = await Promise.all([
    prepareRootfs(context, container),
    parts.network,
    parts.mounts,
    parts.devices,
  ]);
  const covered = mounts.map(({ destination }) => destination);
  const { edits, layer } = await prepareDevices(context, container, grant, covered);
  await lendInterfaces(context, container, edits.netDevices);
  const init = initOf(context.init, hostConfig);
  const cgroupsPath = cgroupsPathOf(context, container);
  if (hostConfig.CpuRealtimeRuntime !== 0) await giveRealtimeBudget(dirname(cgroupsPath), context.resourceDefaults.realtime);
  const spec = runtimeSpec({
    id: container.id,
    config,
    hostConfig,
    user: resolveUser(config.User, hostConfig.GroupAdd ?? [], userFiles),
    host: context.host,
    files: network.files,
    mounts,
    cgroupsPath,
    joined: {
      network: network.namespace,
      pid: joinedPid === null ? null : `/proc/${joinedPid.pid}/ns/pid`,
      ...joinedIpc(context, hostConfig.IpcMode),
    },
    idRange: container.record.idRange ?? null,
    linkVariables: linkVariablesOf(context, container),
    ...(init === null ? {} : { init }),
    findDevices: hostDevices,
    edits,
  });
  const { spool } = logPlan(hostConfig.LogConfig);
  const log = spool === null ? null : { path: container.paths.log, maxSizeBytes: spool.maxSizeBytes, maxFiles: spool.maxFiles };
  return {
    id: container.id,
    runtime: context.runtimes.runner(hostConfig.Runtime),
    spec,
    rootfs: layer === null ? rootfs : under(layer, rootfs),
    log,
    stdin: stdinMode(container),
    attachments: attachments.map(({ request }) => request),
    keep: network.keep,
  };
}

function under(layer: string, rootfs: OverlayRootfs): OverlayRootfs {
  return { ...rootfs, lowers: [layer, ...rootfs.lowers] };
}

function stdinMode({ config }: Container): StdinMode {
  if (!config.OpenStdin) return 'null';
  return config.StdinOnce ? 'once' : 'open';
}

interface Joined {
  readonly paths: ContainerPaths;
  readonly pid: number;
}

function joinedContainer(context: ContainerContext, mode: string, what: 'network' | 'PID' | 'IPC'): Joined | null {
  if (!mode.startsWith('container:')) return null;
  const other = context.registry.resolve(mode.slice('container:'.length));
  if (other.state.status !== 'running') throw conflict(`cannot join ${what} of a non running container: ${other.id}`);
  return { paths: other.paths, pid: other.state.process.pid };
}

function joinedIpc(context: ContainerContext, mode: string): Pick<JoinedNamespaces, 'ipc' | 'ipcMounts'> {
  const joined = joinedContainer(context, mode, 'IPC');
  if (joined === null) return { ipc: null, ipcMounts: null };
  requireShareableIpc(context, mode);
  return { ipc: `/proc/${joined.pid}/ns/ipc`, ipcMounts: `/proc/${joined.pid}/ns/mnt` };
}

function requireShareableIpc(context: ContainerContext, mode: string): void {
  const other = context.registry.resolve(mode.slice('container:'.length));
  if (other.hostConfig.IpcMode === 'shareable') return;
  throw conflict(`can't join IPC of container ${other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`);
}

function takeAttachments(container: Container, limit = Number.POSITIVE_INFINITY): readonly WaitingAttachment[] {
  const attachments = [...container.waitingAttachments].slice(0, limit);
  for (const attachment of attachments) container.waitingAttachments.delete(attachment);
  return attachments;
}

async function enterStarted(
  context: ContainerContext,
  container: Container,
  process: RunningContainer,
  attachments: readonly WaitingAttachment[],
): Promise<void> {
  const announced = Promise.withResolvers<void>();
  container.health = healthCheckOf(container.config) === null ? null : startingHealth(container.health);
  const running = enterRunning(context, container, process, announced.promise);
  for (const [index, attachment] of attachments.entries()) {
    const stream = process.attached[index];
    trackStream(container, running, attachment.relay, attachment.request);
    if (stream === undefined) attachment.relay.finish();
    else void attachment.replayed.then(() => attachment.relay.connect(stream));
  }
  await attachLate(container, running);
  try {
    await context.records.update(container.record);
  } catch (error) {
    // It runs: the next boot finds it by the runtime's own record.
    context.logger.error({ container: container.id, error: errorText(error) }, 'cannot store the start of a container');
  }
  failpoint('start.recorded');
  await tellLinked(context, container);
  context.events.emit('start', container);
  announced.resolve();
}

/** Clients that came while the start was under way. */
async function attachLate(container: Container, running: Running): Promise<void> {
  for (const { relay, request, replayed } of takeAttachments(container)) {
    try {
      const stream = await running.process.attach(request);
      trackStream(container, running, relay, request);
      void replayed.then(() => relay.connect(stream));
    } catch {
      // The process is gone already, and with it its output.
      relay.finish();
    }
  }
}

async function enterFailed(
  context: ContainerContext,
  container: Container,
  attachments: readonly WaitingAttachment[],
  cause: unknown,
): Promise<Error> {
  const failure = startFailure(cause);
  const exitCode = failure instanceof StartError ? failure.exitCode : failedStartCode;
  const { status, last } = container.state;
  if (status === 'created' || status === 'exited' || status === 'restarting') {
    const failed = { ...last, exitCode, oomKilled: false, error: failure.message };
    container.state = { status: status === 'created' ? 'created' : 'exited', last: failed };
    await context.records.update(container.record).catch((error) => {
      context.logger.error({ container: container.id, error: errorText(error) }, 'cannot store the failed start of a container');
    });
  }
  for (const { relay } of [...attachments, ...takeAttachments(container)]) relay.finish();
  container.waiters.exited({ statusCode: exitCode, error: null });
  if (container.hostConfig.AutoRemove) {
    await removeContainer(context, container, { force: false, volumes: true }).catch((error) => {
      context.logger.warn({ container: container.id, error: errorText(error) }, 'cannot remove a container that did not start (--rm)');
    });
  }
  return failure;
}

/** With Docker's text around it, which clients look into for their exit code. */
function startFailure(cause: unknown): Error {
  if (cause instanceof StartError) return new StartError(startErrorText(cause), cause.exitCode, { cause, details: cause.details });
  return cause instanceof Error ? cause : new EngineError('system', `cannot start the container: ${errorText(cause)}`);
}
