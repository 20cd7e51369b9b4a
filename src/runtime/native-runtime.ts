/**
 * The runtime `native`: compiles the OCI spec into a plan, makes the control groups, and has the launcher fork a monitor that carries the plan out. With another
 * `Compiler` (oci-compiler.ts) the plan calls a program of an OCI runtime; monitors, cgroups, exits and adoption are the same.
 *
 *   start: mkdir c/ID ─ createCgroup ─ compile ─▶ n × PARK, START ─▶ STARTED ─▶ NativeContainer
 *
 * Under the exec root: `launcher.sock`, `launcher.lock`, `m/<16 hex>` (a monitor's socket), `c/ID/exit` (the exit status, from the end of the process until
 * `release`), `c/ID/…` (what a compiler keeps of the container). The native side only interprets plans.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir, unlink } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerId } from '../base/brand.ts';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type CgroupPlacement, createCgroup, killCgroup, placementBeside, processesOfCgroup } from '../linux/cgroups.ts';
import { readProcessFacts } from '../linux/process-facts.ts';
import { resctrlRoot } from '../linux/resctrl.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import { compileExecPlan, compilePlan } from './compile-plan.ts';
import { ContainerHooks } from './container-hooks.ts';
import { hasHooks } from './hooks.ts';
import { type Adoption, LateContainer, type LateFacts } from './late-container.ts';
import { Launcher } from './launcher.ts';
import { askOnce, asStdioStream, connectSocket, isNobodyThere } from './monitor-connection.ts';
import { attachFlags, type ContainerHost, dateOf, NativeContainer, readKept, requestControl } from './native-container.ts';
import type { Plan } from './plan.ts';
import { encodePlan, hasTerminal } from './plan-encoding.ts';
import { encodeFrame, type Frame, maxAttachments, message, PayloadWriter, phase, protocolVersion, setup, stdinMode } from './protocol.ts';
import { leaveResctrlPlace, resctrlJoinFiles, takeResctrlPlace } from './resctrl-place.ts';
import type { AttachRequest, ExitStatus, KeptByMonitor, RunningContainer, Runtime, StartError, StartRequest } from './runtime.ts';
import type { Architecture } from './seccomp/syscall-table.ts';
import { readStartFailure, type StartFailure, startError } from './start-failure.ts';

export interface NativeRuntimeOptions {
  readonly execRoot: string;
  /** The program `gantry-launcher`. */
  readonly launcherPath: string;
  /** `tasks` files of the launcher's own control groups. */
  readonly launcherCgroupFiles?: readonly string[];
  readonly logger?: Logger;
  /** Where resctrl is mounted; default: /sys/fs/resctrl. */
  readonly resctrlRoot?: string;
  /** Instead of the native one. */
  readonly compile?: Compiler;
  readonly name?: string;
  /** One for all runtimes of an exec root; default: one of its own. */
  readonly launcher?: Launcher;
}

/** `directory`: the container's own, below the exec root, from before its start until its release. */
export interface Compiler {
  plan(request: StartRequest, cgroup: CgroupPlacement, directory: string): Plan | Promise<Plan>;
  execPlan(container: ContainerId, exec: string, spec: RuntimeSpec, cgroup: CgroupPlacement, directory: string): Plan | Promise<Plan>;
  /** What a failure means when it is one of the compiler's own making, else null. */
  explain?(failure: StartFailure, directory: string, exec: string | null): Promise<StartError | null>;
  /** What `execPlan` left for the start alone may go. */
  execSettled?(directory: string, exec: string): Promise<void>;
  /** Of a program that runs the hooks of its containers itself: whether it did not come to those of the end. */
  readonly owesPoststop?: (directory: string, id: string) => boolean;
  /** The run is over, and whatever made it may have left something outside of `directory`. */
  ended?(cgroupsPath: string): Promise<void>;
}

const architecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const ourCompiler = (resctrl: string): Compiler => ({
  plan: async ({ id, spec, rootfs }, cgroup, bundle) =>
    compilePlan(spec, { id, rootfs, bundle, cgroup, resctrl: await takeResctrlPlace(id, spec, bundle, resctrl), architecture }),
  execPlan: async (id, _exec, spec, cgroup, directory) =>
    compileExecPlan(spec, { id, cgroup, resctrl: await resctrlJoinFiles(directory), architecture }),
});

const noCgroup: CgroupPlacement = {
  paths: {},
  joinFiles: [],
  v2Directory: null,
  directories: [],
  oomFile: null,
  killFile: null,
  freezerDirectory: null,
};
const keepsNothing: KeptByMonitor = { pid: 0, descriptors: [] };
const EEXIST = 17;
const exitPatienceMs = 2000;
const exitRetryMs = 20;
const listeningRetryMs = 50;
/** A monitor answers within a millisecond, on a busy machine within a fraction of a second. */
const silenceMs = 2000;

export class NativeRuntime implements Runtime {
  readonly name: string;
  readonly launcher: Launcher;
  readonly #options: NativeRuntimeOptions;
  readonly #compiler: Compiler;
  readonly #hooks: ContainerHooks;
  readonly #running = new Map<ContainerId, NativeContainer>();

  constructor(options: NativeRuntimeOptions) {
    this.#options = options;
    this.name = options.name ?? 'native';
    this.#compiler = options.compile ?? ourCompiler(options.resctrlRoot ?? resctrlRoot);
    this.#hooks = new ContainerHooks(options.logger, this.#compiler.owesPoststop ?? null);
    this.launcher =
      options.launcher ??
      new Launcher({
        execRoot: options.execRoot,
        program: options.launcherPath,
        cgroupFiles: options.launcherCgroupFiles ?? [],
        ...(options.logger === undefined ? {} : { logger: options.logger }),
      });
  }

  /** At the daemon's boot: spawning a launcher later would hold the event loop up. */
  async boot(): Promise<void> {
    await this.launcher.ensure();
  }

  async start(request: StartRequest): Promise<RunningContainer> {
    if (request.attachments.length > maxAttachments) {
      throw new EngineError('invalid', `a container cannot be started with more than ${maxAttachments} attached streams`);
    }
    if (this.#running.has(request.id)) throw new AlreadyRunning(request.id);
    const exitFile = this.#exitFile(request.id);
    await mkdir(this.#directory(request.id), { recursive: true, mode: 0o700 });
    await rm(exitFile, { force: true });
    const cgroup = await this.#createCgroup(request.spec);
    try {
      const plan = await this.#compiler.plan(request, cgroup, this.#directory(request.id));
      await this.#hooks.remember(request, this.#directory(request.id));
      const container = await this.#startPlan(request, plan, cgroup);
      if (hasHooks(request.spec)) await this.#hooks.afterStart(this.#directory(request.id), container.pid);
      return container;
    } catch (thrown) {
      await this.#removeTraces(request, cgroup, thrown);
      throw thrown;
    }
  }

  async adopt(id: ContainerId, cgroupsPath: string | null = null, kept = keepsNothing): Promise<Adoption> {
    const known = this.#running.get(id);
    if (known !== undefined) return known;
    const silence = Promise.withResolvers<void>();
    const adoption = this.#adopt(id, cgroupsPath, () => silence.resolve()).then((found) => this.#catchUpHooks(id, found));
    // A monitor that was stopped, or hangs, must not keep the daemon from its other containers.
    return await Promise.race([adoption, silence.promise.then(() => this.#lateContainer(id, cgroupsPath, kept, adoption))]);
  }

  #lateContainer(id: ContainerId, cgroupsPath: string | null, kept: KeptByMonitor, adoption: Promise<Adoption>): LateContainer {
    const { forget } = this.#host(id, cgroupsPath);
    return new LateContainer({ ...lateFacts(id, cgroupsPath, kept), forget }, adoption);
  }

  /** What is owed to a run that is over; once, whoever asks. */
  async #settleEnd(id: ContainerId): Promise<void> {
    await this.#hooks.afterEnd(this.#directory(id));
    await leaveResctrlPlace(this.#directory(id));
  }

  /** Those that a daemon did not come to before it died. */
  async #catchUpHooks(id: ContainerId, found: RunningContainer | ExitStatus | 'lost'): Promise<RunningContainer | ExitStatus | 'lost'> {
    if (found !== 'lost' && 'pid' in found) this.#hooks.catchUp(this.#directory(id), found.pid);
    else await this.#settleEnd(id);
    return found;
  }

  async #adopt(id: ContainerId, cgroupsPath: string | null, onSilence: () => void): Promise<Adoption> {
    for (;;) {
      const outcome = (await this.#adoptMonitor(id, cgroupsPath, onSilence)) ?? (await this.#afterMonitor(id, cgroupsPath));
      if (outcome !== 'again') return outcome;
    }
  }

  /** The daemon leaves; containers, monitors and launcher stay. */
  async close(): Promise<void> {
    for (const container of this.#running.values()) container.close();
    this.#running.clear();
    this.#hooks.close();
    await this.launcher.close();
  }

  async #startPlan(request: StartRequest, plan: Plan, cgroup: CgroupPlacement): Promise<RunningContainer> {
    const sockets: Socket[] = [];
    try {
      for (let i = 0; i <= request.attachments.length; i++) sockets.push(await this.launcher.connect());
      const [control, ...streams] = sockets as [Socket, ...Socket[]];
      const payload = this.#encodeStart(request, plan, cgroup);
      const attached = request.attachments.map((attachment, index) => park(streams[index] as Socket, request.id, index, attachment));
      const [first] = await Promise.all([askOnce(control, message.start, payload), ...attached]);
      const reply = first.type === message.paused ? await this.#passCheckpoint(request, control, first.payload.u32()) : first;
      if (reply.type !== message.started) throw await this.#startFailed(reply, request.id, plan);
      return this.#makeContainer(request.id, request.spec.linux.cgroupsPath ?? null, control, reply, streams);
    } catch (thrown) {
      for (const socket of sockets) socket.destroy();
      throw thrown;
    }
  }

  /** The container's process waits until the hooks of the host have run, and ends when one of them fails. */
  async #passCheckpoint({ id, spec }: StartRequest, control: Socket, pid: number): Promise<Frame> {
    const answer = (go: boolean) => askOnce(control, message.goOn, new PayloadWriter().u32(go ? 1 : 0).finish());
    try {
      await this.#hooks.beforeStart(id, spec, this.#directory(id), pid);
    } catch (thrown) {
      await answer(false).catch(() => {});
      throw thrown;
    }
    return await answer(true);
  }

  #makeContainer(
    id: ContainerId,
    cgroupsPath: string | null,
    control: Socket,
    { payload }: Frame,
    streams: readonly Socket[],
  ): NativeContainer {
    const pid = payload.u32();
    payload.u64(); // start time in clock ticks
    const startedAt = dateOf(payload.u64());
    const logPosition = { generation: 0, sizeBytes: Number(payload.u64()) };
    const facts = { pid, startedAt, logPosition, kept: readKept(payload) };
    return this.#remember(new NativeContainer(id, control, facts, streams.map(asStdioStream), [], this.#host(id, cgroupsPath)));
  }

  #remember(container: NativeContainer): NativeContainer {
    this.#running.set(container.id, container);
    return container;
  }

  async #startFailed(reply: Frame, id: ContainerId, plan: Plan): Promise<EngineError> {
    const failure = readStartFailure(reply.payload);
    if (failure.phase === phase.monitor && failure.index === setup.fork && failure.errno === EEXIST) return new AlreadyRunning(id);
    return (await this.#compiler.explain?.(failure, this.#directory(id), null)) ?? startError(failure, plan, 'container');
  }

  #encodeStart(request: StartRequest, plan: Plan, cgroup: CgroupPlacement): Buffer {
    return new PayloadWriter()
      .u32(protocolVersion)
      .text(request.id)
      .u32(request.attachments.length)
      .u32(stdinMode[request.stdin])
      .u32(hasTerminal(plan) ? 1 : 0)
      .text(this.#exitFile(request.id))
      .text(request.log?.path ?? '')
      .u64(request.log?.maxSizeBytes ?? 0)
      .u32(request.log?.maxFiles ?? 1)
      .text(cgroup.oomFile ?? '')
      .text(cgroup.killFile ?? '')
      .text(cgroup.freezerDirectory ?? '')
      .texts(cgroup.directories)
      .descriptors(request.keep ?? [])
      .raw(encodePlan(plan))
      .finish();
  }

  #host(id: ContainerId, cgroupsPath: string | null): ContainerHost {
    return {
      connect: () => connectSocket(this.#monitorSocket(id)),
      compileExec: async (exec, spec, init) => this.#compiler.execPlan(id, exec, spec, placementOf(spec, init), this.#directory(id)),
      explainExec: async (failure, plan, exec) =>
        (await this.#compiler.explain?.(failure, this.#directory(id), exec)) ?? startError(failure, plan, 'exec'),
      execSettled: (exec) => void this.#compiler.execSettled?.(this.#directory(id), exec).catch(() => {}),
      afterMonitor: () => this.#afterMonitor(id, cgroupsPath),
      forget: async () => {
        this.#running.delete(id);
        if (cgroupsPath !== null) await this.#compiler.ended?.(cgroupsPath);
        await this.#settleEnd(id);
        await rm(this.#directory(id), { recursive: true, force: true });
      },
    };
  }

  async #adoptMonitor(id: ContainerId, cgroupsPath: string | null, onSilence: () => void): Promise<RunningContainer | ExitStatus | null> {
    let socket: Socket;
    try {
      socket = await connectSocket(this.#monitorSocket(id));
    } catch (thrown) {
      if (isNobodyThere(thrown)) return null;
      throw thrown;
    }
    const silence = setTimeout(onSilence, silenceMs);
    try {
      const status = await requestControl(socket);
      if (status.exit !== null) {
        // The exit file stays until the next start, so an exit told twice is the same exit.
        socket.end(encodeFrame(message.release, 2));
        socket.resume();
        return status.exit;
      }
      return this.#remember(new NativeContainer(id, socket, status, [], status.execs, this.#host(id, cgroupsPath)));
    } catch (thrown) {
      if (isUnavailable(thrown) || (thrown instanceof EngineError && thrown.code === 'not-found')) return null;
      throw thrown;
    } finally {
      clearTimeout(silence);
    }
  }

  async #afterMonitor(id: ContainerId, cgroupsPath: string | null): Promise<ExitStatus | 'lost' | 'again'> {
    if (await this.#isListening(id)) return 'again';
    if ((await this.#awaitGone(id)) === 'listening') return 'again';
    const exit = await this.#awaitExit(id);
    if (exit === null && (await this.#isListening(id))) return 'again';
    await unlink(this.#monitorSocket(id)).catch(() => {});
    if (exit !== null) return exit;
    // Nobody looks after it any more: what still runs would run unseen, and its cgroup stay.
    if (cgroupsPath !== null) await this.#endUnseen(id, cgroupsPath);
    return 'lost';
  }

  async #endUnseen(id: ContainerId, cgroupsPath: string): Promise<void> {
    try {
      await killCgroup(cgroupsPath);
    } catch (thrown) {
      this.#options.logger?.error(
        { container: id, error: errorText(thrown) },
        'cannot end a container that has neither monitor nor launcher',
      );
    }
  }

  /** The launcher knows of a monitor before it listens: a daemon that was killed within a start comes back to one that is just being set up. */
  async #awaitGone(id: ContainerId): Promise<'gone' | 'listening'> {
    // A launcher that dies while it is asked knows nothing any more; the exit file does.
    const gone = this.launcher.awaitGone(id).then(
      () => 'gone' as const,
      (thrown: unknown) => {
        if (!isUnavailable(thrown)) throw thrown;
        return 'gone' as const;
      },
    );
    for (;;) {
      const outcome = await Promise.race([gone, delay(listeningRetryMs, 'waiting' as const)]);
      if (outcome === 'gone') return 'gone';
      if (await this.#isListening(id)) {
        gone.catch(() => {});
        return 'listening';
      }
    }
  }

  /** An older launcher, drained by a newer daemon, may still be recording it. */
  async #awaitExit(id: ContainerId): Promise<ExitStatus | null> {
    const deadline = Date.now() + exitPatienceMs;
    for (;;) {
      const exit = await this.#readExit(id);
      if (exit !== null || !existsSync(this.#directory(id)) || Date.now() > deadline) return exit;
      await delay(exitRetryMs);
    }
  }

  async #isListening(id: ContainerId): Promise<boolean> {
    try {
      (await connectSocket(this.#monitorSocket(id))).destroy();
      return true;
    } catch (thrown) {
      if (isNobodyThere(thrown)) return false;
      throw thrown;
    }
  }

  async #readExit(id: ContainerId): Promise<ExitStatus | null> {
    try {
      const exit: unknown = JSON.parse(await readFile(this.#exitFile(id), 'utf8'));
      return parseExit(exit);
    } catch (thrown) {
      if (hasErrnoCode(thrown, 'ENOENT')) return null;
      throw thrown;
    }
  }

  async #createCgroup(spec: RuntimeSpec): Promise<CgroupPlacement> {
    const path = spec.linux.cgroupsPath;
    if (path === undefined) return noCgroup;
    const { placement, warnings } = await createCgroup(path, spec.linux.resources ?? {});
    for (const warning of warnings) this.#options.logger?.warn({ cgroup: path }, warning);
    return placement;
  }

  /** Of a start that failed. Those of a container that runs are its own. */
  async #removeTraces({ id, spec }: StartRequest, cgroup: CgroupPlacement, cause: unknown): Promise<void> {
    if (cause instanceof AlreadyRunning) return;
    // The monitor died on the way, or the launcher before it could fork one: what was begun is ended first.
    if (isUnavailable(cause)) await this.launcher.awaitGone(id).catch(() => {});
    for (const directory of cgroup.directories) await rmdir(directory).catch(() => {});
    if (spec.linux.cgroupsPath !== undefined) await this.#compiler.ended?.(spec.linux.cgroupsPath);
    await this.#settleEnd(id);
    await rm(this.#directory(id), { recursive: true, force: true });
  }

  #directory(id: ContainerId): string {
    return join(this.#options.execRoot, 'c', id);
  }

  #exitFile(id: ContainerId): string {
    return join(this.#directory(id), 'exit');
  }

  #monitorSocket(id: ContainerId): string {
    return join(this.#options.execRoot, 'm', id.slice(0, 16));
  }
}

class AlreadyRunning extends EngineError {
  constructor(id: ContainerId) {
    super('conflict', `container ${id} is already running`);
  }
}

/** As far as the kernel knows it: the process that has run longest is its first. */
function lateFacts(id: ContainerId, cgroupsPath: string | null, kept: KeptByMonitor): Omit<LateFacts, 'forget'> {
  const pids = cgroupsPath === null ? [] : processesOfCgroup(cgroupsPath);
  const [first = null] = pids
    .flatMap((pid) => readProcessFacts(pid) ?? [])
    .toSorted((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
  const monitorPid = first?.ppid ?? 0;
  const stillKept = kept.pid === monitorPid ? kept : keepsNothing;
  return { id, pid: first?.pid ?? 0, startedAt: first?.startedAt ?? new Date(), monitorPid, kept: stillKept };
}

function isUnavailable(thrown: unknown): boolean {
  return thrown instanceof EngineError && thrown.code === 'unavailable';
}

function placementOf(spec: RuntimeSpec, init: number): CgroupPlacement {
  const path = spec.linux.cgroupsPath;
  return path === undefined ? noCgroup : placementBeside(path, init);
}

async function park(socket: Socket, id: ContainerId, index: number, attachment: AttachRequest): Promise<Frame> {
  const payload = new PayloadWriter().u32(protocolVersion).text(id).u32(index).u32(attachFlags(attachment)).finish();
  return askOnce(socket, message.park, payload);
}

function parseExit(value: unknown): ExitStatus {
  const { code, atNs, oomKilled, note } = value as { code: number; atNs: string; oomKilled: boolean; note: string };
  return { code, at: dateOf(BigInt(atNs)), oomKilled, note: note === '' ? null : note };
}
