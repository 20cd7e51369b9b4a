/**
 * Exec instances: made, started once, looked at for a while after their end. They are kept in memory; those that ran are found again at their monitor after a
 * restart of the daemon, as long as the container runs.
 */
import type { ContainerId } from '../base/brand.ts';
import { notFound } from '../base/errors.ts';
import type { RunningExec } from '../runtime/runtime.ts';
import type { ExecConfig } from './config.ts';
import type { ExecView } from './containers.ts';

export type ExecState =
  | { readonly kind: 'created' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'running'; readonly process: RunningExec }
  | { readonly kind: 'ended'; readonly exitCode: number; readonly pid: number };

export interface Exec {
  readonly id: string;
  readonly containerId: ContainerId;
  readonly config: ExecConfig;
  state: ExecState;
}

/** Ids of health checks begin so: a daemon that starts knows its predecessor's from what people run, which has ids at random. */
export const probeIdPrefix = '6865616c74680000';

/** Clients ask for the exit code right after the stream's end; Docker keeps it for at least five minutes. */
const keptMs = 10 * 60_000;

export class Execs {
  readonly #execs = new Map<string, Exec>();
  readonly #timers = new Set<NodeJS.Timeout>();

  add(exec: Exec): void {
    this.#execs.set(exec.id, exec);
  }

  get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (exec === undefined) throw notFound(`No such exec instance: ${id}`);
    return exec;
  }

  /** Made or running, for the container's inspect. */
  idsOf(containerId: ContainerId): readonly string[] {
    return [...this.#execs.values()].filter((exec) => exec.containerId === containerId && exec.state.kind !== 'ended').map(({ id }) => id);
  }

  end(exec: Exec, exitCode: number, pid: number): void {
    exec.state = { kind: 'ended', exitCode, pid };
    // Nobody asks for these.
    if (exec.id.startsWith(probeIdPrefix)) {
      this.#execs.delete(exec.id);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#execs.delete(exec.id);
    }, keptMs);
    timer.unref();
    this.#timers.add(timer);
  }

  /** The container is gone. */
  forget(containerId: ContainerId): void {
    for (const exec of this.#execs.values()) if (exec.containerId === containerId) this.#execs.delete(exec.id);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

export function execView(exec: Exec): ExecView {
  const { id, containerId, config, state } = exec;
  return {
    id,
    containerId,
    config,
    running: state.kind === 'running',
    exitCode: state.kind === 'ended' ? state.exitCode : null,
    pid: state.kind === 'running' ? state.process.pid : state.kind === 'ended' ? state.pid : 0,
    canRemove: false,
  };
}
