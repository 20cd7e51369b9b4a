/**
 * Tells when the kernel's OOM killer ended a process of a container, while the container goes on; `run-container.ts` tells what it did to its end.
 *
 * Only containers with a limit of their own, or of a cgroup parent, are watched: of others the whole machine would have to run out. The thread that waits is
 * there as long as somebody is watched. Without notices (an old kernel, no descriptors left) the end of the container still says what happened.
 */
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { makeEventPoll } from '../linux/event-poll.ts';
import { type OomNotice, openOomNotice } from '../linux/oom-notice.ts';
import type { OomWorkerData } from './oom-worker.ts';

/** The kernel's notice comes a moment before the kill is counted. */
const looksMs = [0, 5, 20, 100, 500];

interface Watched {
  readonly notice: OomNotice;
  readonly tell: () => void;
  told: number;
}

interface Thread {
  readonly worker: Worker;
  readonly poll: number;
  readonly end: Int32Array<SharedArrayBuffer>;
}

export class OomWatch {
  readonly #logger: Logger;
  readonly #watched = new Map<number, Watched>();
  #thread: Thread | null = null;
  #lastToken = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `tell` is called for every time that processes were killed from now on. Returns what ends it. */
  watch(cgroup: string, tell: () => void): () => void {
    const token = ++this.#lastToken;
    try {
      this.#thread ??= this.#start();
      const notice = openOomNotice(this.#thread.poll, token, cgroup);
      if (notice !== null) this.#watched.set(token, { notice, tell, told: notice.kills() });
    } catch (error) {
      this.#logger.warn({ cgroup, error: errorText(error) }, 'cannot be told of processes that run out of memory');
    }
    this.#endIfIdle();
    return () => {
      this.#watched.get(token)?.notice.close();
      this.#watched.delete(token);
      this.#endIfIdle();
    };
  }

  close(): void {
    for (const { notice } of this.#watched.values()) notice.close();
    this.#watched.clear();
    this.#endIfIdle();
  }

  #start(): Thread {
    const end = new SharedArrayBuffer(4);
    const poll = makeEventPoll();
    const workerData: OomWorkerData = { poll, end };
    const worker = new Worker(new URL('./oom-worker.ts', import.meta.url), { name: 'oom', workerData });
    worker.unref();
    worker.on('message', (token: number) => this.#look(token));
    worker.on('error', (error) => this.#logger.error({ error: errorText(error) }, 'the thread that waits for OOM notices failed'));
    worker.on('exit', () => closeSync(poll));
    return { worker, poll, end: new Int32Array(end) };
  }

  #endIfIdle(): void {
    if (this.#watched.size > 0 || this.#thread === null) return;
    Atomics.store(this.#thread.end, 0, 1);
    this.#thread = null;
  }

  #look(token: number, attempt = 0): void {
    const watched = this.#watched.get(token);
    if (watched === undefined) return;
    try {
      if (attempt === 0) watched.notice.rearm();
      const kills = watched.notice.kills();
      if (kills > watched.told) {
        watched.told = kills;
        watched.tell();
      } else if (attempt + 1 < looksMs.length) setTimeout(() => this.#look(token, attempt + 1), looksMs[attempt + 1]).unref();
    } catch (error) {
      this.#logger.warn({ error: errorText(error) }, 'cannot look who ran out of memory');
    }
  }
}
