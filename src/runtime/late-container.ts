/**
 * A container that runs, but whose monitor has not answered the daemon that starts: stopped by a signal, or hung. It stands for the container until the monitor
 * does answer, or is gone, and passes everything on from then:
 *
 *   monitor silent ──▶ pid from the cgroup, no streams, every request an error that names the monitor ──answer──▶ the container itself
 */

import type { ContainerId } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { withPatience } from '../base/patience.ts';
import { endNamed } from '../linux/end-session.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';
import type {
  AttachRequest,
  ExecRequest,
  ExitStatus,
  KeptByMonitor,
  LogPosition,
  RunningContainer,
  RunningExec,
  StdioStream,
} from './runtime.ts';

const SIGKILL = 9;
const monitorName = 'gantry-monitor';
/** How long a request waits for a monitor that has not answered yet. */
const requestPatienceMs = 5000;

export type Adoption = RunningContainer | ExitStatus | 'lost';

export interface LateFacts {
  readonly id: ContainerId;
  /** Of its first process; 0: none is to be seen. */
  readonly pid: number;
  readonly startedAt: Date;
  /** 0: unknown. */
  readonly monitorPid: number;
  readonly kept: KeptByMonitor;
  /** It ended before its monitor answered, and that is stored: what the runtime has of it may go. */
  forget(): Promise<void>;
}

export class LateContainer implements RunningContainer {
  readonly id: ContainerId;
  readonly startedAt: Date;
  readonly attached: readonly StdioStream[] = [];
  readonly exited: Promise<ExitStatus | 'lost'>;
  readonly #facts: LateFacts;
  readonly #adoption: Promise<Adoption>;
  readonly #listeners = new Set<(position: LogPosition) => void>();
  readonly #answered: Promise<void>;
  #found: RunningContainer | null = null;

  constructor(facts: LateFacts, adoption: Promise<Adoption>) {
    this.id = facts.id;
    this.startedAt = facts.startedAt;
    this.#facts = facts;
    this.#adoption = adoption;
    const found = adoption.catch(() => 'lost' as const).then((outcome) => this.#take(outcome));
    this.#answered = found.then(() => {});
    this.exited = found.then((outcome) => (isRunning(outcome) ? outcome.exited : outcome));
  }

  get pid(): number {
    return this.#found?.pid ?? this.#facts.pid;
  }

  get logPosition(): LogPosition {
    return this.#found?.logPosition ?? { generation: 0, sizeBytes: 0 };
  }

  get kept(): KeptByMonitor {
    return this.#found?.kept ?? this.#facts.kept;
  }

  get answered(): Promise<void> | null {
    return this.#found === null ? this.#answered : null;
  }

  get adoptedExecs(): readonly RunningExec[] {
    return this.#found?.adoptedExecs ?? [];
  }

  onLog(listener: (position: LogPosition) => void): () => void {
    if (this.#found !== null) return this.#found.onLog(listener);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async attach(request: AttachRequest): Promise<StdioStream> {
    return (await this.#reach()).attach(request);
  }

  async exec(request: ExecRequest): Promise<RunningExec> {
    return (await this.#reach()).exec(request);
  }

  async kill(signal: number, scope: 'init' | 'all'): Promise<void> {
    try {
      await (await this.#reach()).kill(signal, scope);
    } catch (thrown) {
      if (signal !== SIGKILL || !endSilentMonitor(thrown)) throw thrown;
    }
  }

  async resize(rows: number, columns: number): Promise<void> {
    await (await this.#reach()).resize(rows, columns);
  }

  async closeStdin(): Promise<void> {
    await (await this.#reach()).closeStdin();
  }

  async keep(descriptors: readonly KeptDescriptor[]): Promise<void> {
    await (await this.#reach()).keep(descriptors);
  }

  async release(): Promise<void> {
    await (this.#found === null ? this.#facts.forget() : this.#found.release());
  }

  #take(outcome: Adoption): Adoption {
    if (!isRunning(outcome)) return outcome;
    this.#found = outcome;
    outcome.onLog((position) => {
      for (const listener of this.#listeners) listener(position);
    });
    for (const listener of this.#listeners) listener(outcome.logPosition);
    return outcome;
  }

  async #reach(): Promise<RunningContainer> {
    if (this.#found !== null) return this.#found;
    const outcome = await withPatience(this.#adoption, requestPatienceMs);
    if (outcome === 'late') throw silentMonitor(this.id, this.#facts.monitorPid);
    if (!isRunning(outcome)) throw new EngineError('conflict', `container ${this.id} is not running`);
    return outcome;
  }
}

/** Whoever kills a container does not want its monitor to go on either: the launcher ends the container with it. False: that is not what was thrown. */
export function endSilentMonitor(thrown: unknown): boolean {
  const pid = thrown instanceof EngineError ? Number(thrown.details?.monitor ?? 0) : 0;
  return pid > 0 && endNamed(pid, monitorName);
}

/** What hangs, and what can be done about it. */
export function silentMonitor(id: ContainerId, pid: number): EngineError {
  const process = pid === 0 ? '' : ` (process ${pid})`;
  const number = pid === 0 ? 'PID' : String(pid);
  return new EngineError(
    'system',
    `the monitor${process} of container ${id} does not answer: it was stopped by a signal, or it hangs. The container runs on. ` +
      `Let the monitor go on (kill -CONT ${number}), or end it together with its container (kill -KILL ${number})`,
    { details: { monitor: pid } },
  );
}

function isRunning(outcome: Adoption): outcome is RunningContainer {
  return outcome !== 'lost' && 'exited' in outcome;
}
