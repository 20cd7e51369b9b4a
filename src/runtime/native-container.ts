/**
 * A running container over the control connection of its monitor.
 *
 * How `exited` settles: EXITED on the control connection is the normal way. When that connection breaks, a monitor that is alive after all is asked for control
 * again; else the launcher is asked to say when it is gone, by when the exit file is complete (written by the monitor, or by the launcher in its place). Without
 * file and monitor it is `lost`.
 */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerId } from '../base/brand.ts';
import { conflict, EngineError, notFound } from '../base/errors.ts';
import { withPatience } from '../base/patience.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import { endSilentMonitor, silentMonitor } from './late-container.ts';
import { askOnce, asStdioStream, FrameConnection, MonitorRefusal } from './monitor-connection.ts';
import type { Plan } from './plan.ts';
import { encodePlan, hasTerminal } from './plan-encoding.ts';
import { attachFlag, type Frame, message, type PayloadReader, PayloadWriter, protocolVersion } from './protocol.ts';
import type {
  AttachRequest,
  ExecRequest,
  ExitStatus,
  KeptByMonitor,
  LogPosition,
  RunningContainer,
  RunningExec,
  StartError,
  StdioStream,
} from './runtime.ts';
import { readStartFailure, type StartFailure } from './start-failure.ts';

const recoveryPauseMs = 5;
/** A monitor answers at once: one that takes so long was stopped by a signal, or hangs. */
const requestPatienceMs = 5000;
/** The start of a process may wait for disks. */
const execPatienceMs = 60_000;
const slowExecMs = 2000;
/** Ended execs that the monitor keeps, so that a daemon that was killed before anybody asked for their exit codes finds them again. */
const rememberedExecs = 64;
const SIGKILL = 9;
const ESRCH = 3;
const EEXIST = 17;
const ENOTTY = 25;
const ENOSYS = 38;
/** The first version of the protocol whose monitors keep descriptors. */
const keepingVersion = 2;

/** What a container needs of its runtime. */
export interface ContainerHost {
  /** A new connection to the monitor's socket. */
  connect(): Promise<Socket>;
  /** `init` is the container's first process. */
  compileExec(exec: string, spec: RuntimeSpec, init: number): Promise<Plan>;
  explainExec(failure: StartFailure, plan: Plan, exec: string): Promise<StartError>;
  /** It runs, or never will. */
  execSettled(exec: string): void;
  /** The exit from the exit file once no monitor is alive; `again`: a monitor is alive, ask it for control. */
  afterMonitor(): Promise<ExitStatus | 'lost' | 'again'>;
  /** RELEASE was acknowledged. */
  forget(): Promise<void>;
}

export interface StartedFacts {
  readonly pid: number;
  readonly startedAt: Date;
  readonly logPosition: LogPosition;
  readonly kept: KeptByMonitor;
}

export interface MonitorStatus extends StartedFacts {
  readonly exit: ExitStatus | null;
  readonly execs: readonly { readonly id: string; readonly pid: number; readonly exitCode: number | null }[];
}

interface PendingExec {
  readonly id: string;
  readonly exit: PromiseWithResolvers<number | 'lost'>;
}

export class NativeContainer implements RunningContainer {
  readonly id: ContainerId;
  readonly pid: number;
  readonly startedAt: Date;
  readonly attached: readonly StdioStream[];
  readonly exited: Promise<ExitStatus | 'lost'>;
  readonly adoptedExecs: readonly RunningExec[];
  readonly #host: ContainerHost;
  readonly #exit = Promise.withResolvers<ExitStatus | 'lost'>();
  readonly #listeners = new Set<(position: LogPosition) => void>();
  readonly #execs = new Map<string, PendingExec>();
  /** Not acknowledged yet, oldest first. */
  readonly #endedExecs = new Set<string>();
  #control: FrameConnection;
  #logPosition: LogPosition;
  #kept: KeptByMonitor;
  #recovery: Promise<void> = Promise.resolve();
  #isSettled = false;
  #isClosed = false;

  constructor(
    id: ContainerId,
    control: Socket,
    facts: StartedFacts,
    attached: readonly StdioStream[],
    execs: MonitorStatus['execs'],
    host: ContainerHost,
  ) {
    this.id = id;
    this.pid = facts.pid;
    this.startedAt = facts.startedAt;
    this.attached = attached;
    this.exited = this.#exit.promise;
    this.#logPosition = facts.logPosition;
    this.#kept = facts.kept;
    this.#host = host;
    this.#control = this.#take(control);
    this.adoptedExecs = execs.map((exec) => this.#adoptExec(exec));
  }

  get logPosition(): LogPosition {
    return this.#logPosition;
  }

  get kept(): KeptByMonitor {
    return this.#kept;
  }

  async keep(descriptors: readonly KeptDescriptor[]): Promise<void> {
    const { payload } = await this.#ask(message.keep, new PayloadWriter().descriptors(descriptors));
    this.#kept = readKept(payload);
  }

  onLog(listener: (position: LogPosition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async attach(request: AttachRequest): Promise<StdioStream> {
    const socket = await this.#connect();
    const payload = new PayloadWriter().u32(protocolVersion).u32(attachFlags(request)).finish();
    await this.#inTime(askOnce(socket, message.attach, payload), requestPatienceMs, socket);
    return asStdioStream(socket);
  }

  async exec(request: ExecRequest): Promise<RunningExec> {
    if (this.#isSettled) throw conflict(`container ${this.id} is not running`);
    const plan = await this.#host.compileExec(request.id, request.spec, this.pid);
    const socket = await this.#connect();
    const pending = this.#expectExec(request.id);
    try {
      const pid = await this.#startExec(socket, request, plan);
      const isAttached = attachFlags(request) !== 0;
      if (!isAttached) socket.destroy();
      return this.#runningExec(pending, pid, isAttached ? asStdioStream(socket) : null);
    } catch (thrown) {
      this.#execs.delete(request.id);
      socket.destroy();
      throw this.#explain(thrown, request.id);
    } finally {
      this.#host.execSettled(request.id);
    }
  }

  async kill(signal: number, scope: 'init' | 'all'): Promise<void> {
    try {
      await this.#ask(message.kill, new PayloadWriter().u32(signal).u32(scope === 'all' ? 1 : 0));
    } catch (thrown) {
      if (signal !== SIGKILL || !endSilentMonitor(thrown)) throw thrown;
    }
  }

  async resize(rows: number, columns: number): Promise<void> {
    await this.#resize('', rows, columns);
  }

  async closeStdin(): Promise<void> {
    await this.#ask(message.closeStdin, new PayloadWriter());
  }

  async release(): Promise<void> {
    // A monitor that died before has nothing to be told.
    await this.#inTime(this.#control.request(message.release), requestPatienceMs).catch((thrown: unknown) => {
      if (!isUnavailable(thrown)) throw thrown;
    });
    this.close();
    await this.#host.forget();
  }

  /** The daemon leaves; the container stays as it is. `exited` stays open. */
  close(): void {
    this.#isClosed = true;
    this.#control.close();
  }

  #take(socket: Socket): FrameConnection {
    const control = new FrameConnection(socket, (event) => this.#onEvent(event));
    void control.closed.then(() => {
      this.#recovery = this.#recover();
    });
    return control;
  }

  #onEvent(event: Frame): void {
    const { type, payload } = event;
    if (type === message.log) this.#moveLog(readLogPosition(payload));
    else if (type === message.execExit) this.#endExec(payload.text(), payload.u32());
    else if (type === message.exited) this.#settle(readExit(payload));
  }

  #moveLog(position: LogPosition): void {
    this.#logPosition = position;
    for (const listener of this.#listeners) listener(position);
  }

  #settle(exit: ExitStatus | 'lost'): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#exit.resolve(exit);
    for (const { exit: execExit } of this.#execs.values()) execExit.resolve('lost');
    this.#execs.clear();
  }

  async #recover(): Promise<void> {
    while (!this.#isSettled && !this.#isClosed) {
      const outcome = await this.#host.afterMonitor().catch(() => 'lost' as const);
      if (this.#isClosed) return;
      if (outcome !== 'again') this.#settle(outcome);
      else if (await this.#takeControlAgain()) return;
      else await delay(recoveryPauseMs);
    }
  }

  async #takeControlAgain(): Promise<boolean> {
    try {
      const socket = await this.#host.connect();
      const status = await requestControl(socket);
      this.#control = this.#take(socket);
      this.#kept = status.kept;
      this.#moveLog(status.logPosition);
      for (const exec of status.execs) if (exec.exitCode !== null) this.#endExec(exec.id, exec.exitCode);
      if (status.exit !== null) this.#settle(status.exit);
      return true;
    } catch {
      return false; // it is gone now: look again
    }
  }

  #expectExec(id: string): PendingExec {
    // Before it is started: its exit may come on the control connection before the start's reply does on its own.
    const pending = { id, exit: Promise.withResolvers<number | 'lost'>() };
    this.#execs.set(id, pending);
    return pending;
  }

  #endExec(id: string, code: number): void {
    this.#execs.get(id)?.exit.resolve(code);
    this.#execs.delete(id);
    this.#endedExecs.add(id);
    for (const oldest of this.#endedExecs) {
      if (this.#endedExecs.size <= rememberedExecs) break;
      this.#endedExecs.delete(oldest);
      void this.#control.request(message.execAck, new PayloadWriter().text(oldest).finish()).catch(() => {});
    }
  }

  #adoptExec(exec: MonitorStatus['execs'][number]): RunningExec {
    const pending = this.#expectExec(exec.id);
    if (exec.exitCode !== null) this.#endExec(exec.id, exec.exitCode);
    return this.#runningExec(pending, exec.pid, null);
  }

  #runningExec({ id, exit }: PendingExec, pid: number, stream: StdioStream | null): RunningExec {
    return {
      id,
      pid,
      stream,
      exited: exit.promise,
      resize: async (rows, columns) => {
        await this.#resize(id, rows, columns);
      },
    };
  }

  /** Clients ask without knowing whether there is a terminal, and Docker answers as if there were: none is no error. */
  async #resize(execId: string, rows: number, columns: number): Promise<void> {
    const payload = new PayloadWriter().text(execId).u32(rows).u32(columns);
    await this.#ask(message.resize, payload).catch((thrown: unknown) => {
      if (!(thrown instanceof MonitorRefusal && thrown.errno === ENOTTY)) throw thrown;
    });
  }

  async #startExec(socket: Socket, request: ExecRequest, plan: Plan): Promise<number> {
    const payload = new PayloadWriter()
      .u32(protocolVersion)
      .text(request.id)
      .u32(attachFlags(request))
      .u32(hasTerminal(plan) ? 1 : 0)
      .raw(encodePlan(plan));
    const answer = askOnce(socket, message.exec, payload.finish());
    // A start that waits for a disk is waited for, a monitor that does not even answer other questions is not.
    if ((await withPatience(answer, slowExecMs)) === 'late') await this.#requireAnswer();
    const reply = await this.#inTime(answer, execPatienceMs, socket);
    if (reply.type === message.startFailed) throw await this.#host.explainExec(readStartFailure(reply.payload), plan, request.id);
    return reply.payload.u32();
  }

  async #connect(): Promise<Socket> {
    try {
      return await this.#host.connect();
    } catch (thrown) {
      throw conflict(`container ${this.id} is not running`, { cause: thrown });
    }
  }

  async #ask(type: number, payload: PayloadWriter): Promise<Frame> {
    try {
      return await this.#inTime(this.#control.request(type, payload.finish()), requestPatienceMs);
    } catch (thrown) {
      if (!isUnavailable(thrown)) throw this.#explain(thrown, null);
      return await this.#askAgain(type, payload);
    }
  }

  async #requireAnswer(): Promise<void> {
    // A terminal that no exec has: refused at once, and nothing else happens.
    const question = new PayloadWriter().text('0'.repeat(64)).u32(0).u32(0).finish();
    const answer = this.#control.request(message.resize, question).catch(() => null);
    await this.#inTime(answer, requestPatienceMs);
  }

  async #inTime<T>(answer: Promise<T>, patienceMs: number, socket: Socket | null = null): Promise<T> {
    const outcome = await withPatience(answer, patienceMs);
    if (outcome !== 'late') return outcome;
    socket?.destroy();
    throw silentMonitor(this.id, this.#kept.pid);
  }

  /** The connection broke: either the monitor is gone, or it is reached over another one. */
  async #askAgain(type: number, payload: PayloadWriter): Promise<Frame> {
    await this.#control.closed;
    await this.#recovery;
    if (this.#isSettled || this.#isClosed) throw conflict(`container ${this.id} is not running`);
    return await this.#control.request(type, payload.finish()).catch((thrown: unknown) => {
      throw this.#explain(thrown, null);
    });
  }

  #explain(thrown: unknown, execId: string | null): unknown {
    if (!(thrown instanceof MonitorRefusal)) return thrown;
    if (thrown.errno === ESRCH) return conflict(`container ${this.id} is not running`, { cause: thrown });
    if (thrown.errno === ENOSYS) return oldMonitor(this.id, thrown);
    if (thrown.errno === EEXIST && execId !== null) return conflict(`exec ${execId} has already run`, { cause: thrown });
    return thrown;
  }
}

function oldMonitor(id: ContainerId, cause: unknown): EngineError {
  return conflict(`container ${id} was started by an older version of Gantry, which cannot do this: stop and start it again`, { cause });
}

function isUnavailable(thrown: unknown): boolean {
  return thrown instanceof EngineError && thrown.code === 'unavailable';
}

/** Asks a monitor for control; the connection is the control connection from then on. */
export async function requestControl(socket: Socket): Promise<MonitorStatus> {
  const reply = await askOnce(socket, message.control, new PayloadWriter().u32(protocolVersion).finish());
  if (reply.type !== message.status) {
    socket.destroy();
    throw notFound('the container could not be started');
  }
  return readStatus(reply.payload);
}

export function attachFlags(request: AttachRequest): number {
  return (request.stdin ? attachFlag.stdin : 0) | (request.stdout ? attachFlag.stdout : 0) | (request.stderr ? attachFlag.stderr : 0);
}

function readStatus(payload: PayloadReader): MonitorStatus {
  const version = payload.u32();
  const pid = payload.u32();
  payload.u64(); // start time in clock ticks
  const startedAt = dateOf(payload.u64());
  const hasEnded = payload.u32() === 1;
  const exit = readExit(payload);
  const logPosition = readLogPosition(payload);
  payload.u32(); // terminal
  const execs = Array.from({ length: payload.u32() }, () => readExec(payload));
  const kept = version < keepingVersion ? { pid: 0, descriptors: [] } : readKept(payload);
  return { pid, startedAt, exit: hasEnded ? exit : null, logPosition, execs, kept };
}

export function readKept(payload: PayloadReader): KeptByMonitor {
  const pid = payload.u32();
  const descriptors = Array.from({ length: payload.u32() }, () => ({ label: payload.text(), fd: payload.u32() }));
  return { pid, descriptors };
}

function readExec(payload: PayloadReader): MonitorStatus['execs'][number] {
  const [id, pid, hasEnded, code] = [payload.text(), payload.u32(), payload.u32(), payload.u32()];
  return { id, pid, exitCode: hasEnded === 1 ? code : null };
}

function readLogPosition(payload: PayloadReader): LogPosition {
  const generation = payload.u32();
  const sizeBytes = Number(payload.u64());
  payload.u64(); // bytes lost to a full disk
  return { generation, sizeBytes };
}

function readExit(payload: PayloadReader): ExitStatus {
  const [code, at, oomKilled, note] = [payload.u32(), payload.u64(), payload.u32(), payload.text()];
  return { code, at: dateOf(at), oomKilled: oomKilled === 1, note: note === '' ? null : note };
}

export function dateOf(nanoseconds: bigint): Date {
  return new Date(Number(nanoseconds / 1_000_000n));
}
