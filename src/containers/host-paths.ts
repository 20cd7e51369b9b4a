/**
 * Looks at paths of the host that people name (sources of bind mounts). They may lie on a file system whose server is gone, where a look never ends: so it happens in
 * threads of its own, never on the event loop or in Node's few threads, and is given up after a while.
 *
 * At most a few looks at one mount hang at a time; more of them wait for those, so that one dead server does not use up all threads.
 */
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { EngineError } from '../base/errors.ts';
import { JobThreads } from '../base/job-threads.ts';
import { findMount } from '../linux/mount-of-path.ts';
import type { HostPathJob, HostPathLook } from './host-path-worker.ts';
import { lookLocally } from './local-look.ts';

export interface HostPathOptions {
  readonly threads?: number;
  readonly perMount?: number;
  readonly patienceMs?: number;
  /** Stands in for the threads. */
  readonly run?: (job: HostPathJob) => Promise<HostPathLook | null>;
}

interface MountLane {
  active: number;
  readonly waiting: (() => void)[];
}

export class HostPaths {
  readonly #threads: JobThreads<HostPathJob>;
  readonly #run: NonNullable<HostPathOptions['run']>;
  readonly #perMount: number;
  readonly #patienceMs: number;
  readonly #lanes = new Map<string, MountLane>();

  constructor({ threads = 32, perMount = 4, patienceMs = 10_000, run }: HostPathOptions = {}) {
    const start = () => new Worker(new URL('./host-path-worker.ts', import.meta.url), { name: 'host paths' });
    this.#threads = new JobThreads({ limit: threads, what: 'the containers', start });
    this.#run = run ?? ((job) => this.#threads.run<HostPathLook | null>(job));
    this.#perMount = perMount;
    this.#patienceMs = patienceMs;
  }

  /** Links are followed. Null: there is nothing. */
  async look(path: string): Promise<HostPathLook | null> {
    const mountinfo = await readFile('/proc/self/mountinfo', 'latin1');
    const found = await lookLocally(mountinfo, path);
    return found === 'elsewhere' ? await this.#patiently({ kind: 'look', path }, mountinfo) : found;
  }

  /** A directory, with those above it. */
  async make(path: string): Promise<void> {
    await this.#patiently({ kind: 'make', path }, await readFile('/proc/self/mountinfo', 'latin1'));
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }

  async #patiently(job: HostPathJob, mountinfo: string): Promise<HostPathLook | null> {
    // The text of the path tells file systems apart well enough: nothing is looked at.
    const { mountPoint, fileSystem } = findMount(mountinfo, job.path);
    const gaveUp = new AbortController();
    const timer = setTimeout(() => gaveUp.abort(), this.#patienceMs);
    const outcome = this.#inLane(mountPoint, job, gaveUp.signal);
    outcome.catch(() => undefined);
    try {
      return await Promise.race([outcome, rejectOn(gaveUp.signal, () => hangs(job.path, mountPoint, fileSystem, this.#patienceMs))]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #inLane(mountPoint: string, job: HostPathJob, gaveUp: AbortSignal): Promise<HostPathLook | null> {
    const lane = this.#lanes.get(mountPoint) ?? { active: 0, waiting: [] };
    this.#lanes.set(mountPoint, lane);
    while (lane.active >= this.#perMount) await new Promise<void>((resolve) => lane.waiting.push(resolve));
    if (gaveUp.aborted) {
      lane.waiting.shift()?.();
      return null;
    }
    lane.active += 1;
    try {
      return await this.#run(job);
    } finally {
      lane.active -= 1;
      lane.waiting.shift()?.();
      if (lane.active === 0 && lane.waiting.length === 0) this.#lanes.delete(mountPoint);
    }
  }
}

function rejectOn(signal: AbortSignal, error: () => EngineError): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(error()), { once: true }));
}

function hangs(path: string, mountPoint: string, fileSystem: string, patienceMs: number): EngineError {
  const seconds = Math.round(patienceMs / 1000);
  return new EngineError(
    'unavailable',
    `cannot look at the bind source ${path}: the file system on ${mountPoint} (${fileSystem}) does not answer within ${seconds} s. Is its server gone? umount -f ${mountPoint} frees who waits for it`,
  );
}
