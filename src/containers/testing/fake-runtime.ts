/**
 * A runtime without processes, for tests: the test decides what a process prints and when it ends. Like the real one it outlives a daemon: give the same
 * fake to a second service and it adopts.
 */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { conflict } from '../../base/errors.ts';
import type { KeptDescriptor } from '../../linux/kept-descriptor.ts';
import type {
  AttachRequest,
  ExecRequest,
  ExitStatus,
  KeptByMonitor,
  LogPosition,
  RunningContainer,
  RunningExec,
  Runtime,
  StartRequest,
  StdioStream,
} from '../../runtime/runtime.ts';

export class FakeRuntime implements Runtime {
  readonly name = 'fake';
  readonly processes = new Map<string, FakeProcess>();
  /** What every start or adoption does first: a test may throw or wait here. */
  beforeStart: (request: StartRequest) => void | Promise<void> = () => {};
  readonly #execRoot: string;

  constructor(execRoot: string) {
    this.#execRoot = execRoot;
  }

  async start(request: StartRequest): Promise<RunningContainer> {
    await this.beforeStart(request);
    if (this.processes.has(request.id)) throw conflict(`${request.id} runs already`);
    const entry = join(this.#execRoot, 'c', request.id);
    mkdirSync(entry, { recursive: true });
    const process = new FakeProcess(request, () => {
      this.processes.delete(request.id);
      rmSync(entry, { recursive: true, force: true });
    });
    this.processes.set(request.id, process);
    return process;
  }

  async adopt(id: string): Promise<RunningContainer | ExitStatus | 'lost'> {
    const process = this.processes.get(id);
    if (process === undefined) return 'lost';
    return process.status === null ? process.adopted() : process.status;
  }

  process(id: string): FakeProcess {
    const process = this.processes.get(id);
    if (process === undefined) throw new Error(`no process of ${id}`);
    return process;
  }
}

export class FakeProcess implements RunningContainer {
  readonly id: StartRequest['id'];
  readonly request: StartRequest;
  readonly pid = process.pid;
  readonly startedAt = new Date();
  readonly signals: number[] = [];
  readonly sizes: [number, number][] = [];
  readonly execs: FakeExec[] = [];
  attached: readonly StdioStream[] = [];
  exited: Promise<ExitStatus | 'lost'>;
  status: ExitStatus | null = null;
  /** Signals that end it; KILL always does. */
  deadly: ReadonlySet<number> = new Set([1, 2, 15]);
  stdinClosed = 0;
  logPosition: LogPosition = { generation: 0, sizeBytes: 0 };
  beforeExec: (request: ExecRequest) => void = () => {};
  readonly #far: { readonly request: AttachRequest; readonly stream: Duplex }[] = [];
  readonly #logListeners = new Set<(position: LogPosition) => void>();
  readonly #exit = Promise.withResolvers<ExitStatus | 'lost'>();
  readonly #release: () => void;
  #kept: readonly KeptDescriptor[];

  constructor(request: StartRequest, release: () => void) {
    this.id = request.id;
    this.request = request;
    this.exited = this.#exit.promise;
    this.#release = release;
    this.#kept = request.keep ?? [];
    this.attached = request.attachments.map((attachment) => this.#open(attachment));
  }

  get kept(): KeptByMonitor {
    return { pid: process.pid, descriptors: this.#kept };
  }

  async keep(descriptors: readonly KeptDescriptor[]): Promise<void> {
    this.#kept = descriptors;
  }

  get adoptedExecs(): readonly RunningExec[] {
    return this.execs.filter(({ code }) => code === null);
  }

  get logListeners(): number {
    return this.#logListeners.size;
  }

  /** As another daemon sees it. */
  adopted(): RunningContainer {
    this.attached = [];
    return this;
  }

  /** The process's side of the streams that clients hold. */
  get streams(): readonly Duplex[] {
    return this.#far.map(({ stream }) => stream);
  }

  print(text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    const { log } = this.request;
    if (log !== null) appendFileSync(log.path, `${JSON.stringify({ log: text, stream, time: new Date().toISOString() })}\n`);
    this.logPosition = { ...this.logPosition, sizeBytes: this.logPosition.sizeBytes + 1 };
    for (const listener of this.#logListeners) listener(this.logPosition);
    for (const far of this.#far) if (far.request[stream]) far.stream.write(text);
  }

  exit(code: number, more: Partial<ExitStatus> = {}): void {
    if (this.status !== null) return;
    this.status = { code, at: new Date(), oomKilled: false, note: null, ...more };
    for (const { stream } of this.#far) stream.end();
    this.#exit.resolve(this.status);
  }

  lose(): void {
    for (const { stream } of this.#far) stream.end();
    this.#exit.resolve('lost');
  }

  onLog(listener: (position: LogPosition) => void): () => void {
    this.#logListeners.add(listener);
    return () => this.#logListeners.delete(listener);
  }

  async attach(request: AttachRequest): Promise<StdioStream> {
    return this.#open(request);
  }

  async exec(request: ExecRequest): Promise<RunningExec> {
    this.beforeExec(request);
    const exec = new FakeExec(request);
    this.execs.push(exec);
    return exec;
  }

  async kill(signal: number): Promise<void> {
    if (this.status !== null) throw conflict('no such process');
    this.signals.push(signal);
    if (signal === 9 || this.deadly.has(signal)) this.exit(128 + signal);
  }

  async resize(rows: number, columns: number): Promise<void> {
    this.sizes.push([rows, columns]);
  }

  async closeStdin(): Promise<void> {
    this.stdinClosed++;
  }

  async release(): Promise<void> {
    this.#release();
  }

  #open(request: AttachRequest): Duplex {
    const [near, stream] = duplexPair();
    this.#far.push({ request, stream });
    stream.on('error', () => {});
    return near;
  }
}

export class FakeExec implements RunningExec {
  readonly id: string;
  readonly request: ExecRequest;
  readonly pid = 4242;
  readonly stream: StdioStream | null;
  readonly far: Duplex | null;
  readonly exited: Promise<number | 'lost'>;
  code: number | null = null;
  readonly sizes: [number, number][] = [];
  readonly #exit = Promise.withResolvers<number | 'lost'>();

  constructor(request: ExecRequest) {
    this.id = request.id;
    this.request = request;
    this.exited = this.#exit.promise;
    const [near, far] = request.stdin || request.stdout || request.stderr ? duplexPair() : [null, null];
    this.stream = near ?? null;
    this.far = far ?? null;
  }

  exit(code: number): void {
    this.code = code;
    this.#exit.resolve(code);
    this.far?.end();
  }

  async resize(rows: number, columns: number): Promise<void> {
    this.sizes.push([rows, columns]);
  }
}
