/**
 * One process that calls NVML, seen from the daemon (nvml-worker.ts is its entry).
 *
 *   asked ──▶ answered                        as often as wanted
 *         └─▶ late, or it crashed ──▶ killed  every open question fails; `gone` resolves when the kernel has let go of it, which may be never
 *
 * It keeps nobody alive: a daemon that ends does not wait for one that is stuck in the kernel.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { errorText } from '../../base/errors.ts';
import { withPatience } from '../../base/patience.ts';
import type { NvmlLibrary } from './nvml-library.ts';
import type { NvmlAnswers, NvmlAsk, NvmlQuestion, NvmlReply } from './nvml-protocol.ts';

/** Why there is no answer. */
export class NvmlFailure extends Error {
  /** `library`: it will not load until it is another file. */
  readonly kind: 'library' | 'call' | 'late' | 'ended';

  constructor(kind: NvmlFailure['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

interface Open {
  readonly resolve: (value: unknown) => void;
  readonly reject: (failure: NvmlFailure) => void;
}

export class NvmlProcess {
  readonly library: NvmlLibrary;
  /** It has ended and was reaped. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #open = new Map<number, Open>();
  #lastId = 0;
  #hasEnded = false;

  constructor(library: NvmlLibrary) {
    this.library = library;
    const options = {
      env: {},
      execArgv: ['--no-warnings', '--max-old-space-size=64'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'] as const,
    };
    this.#child = fork(new URL('./nvml-worker.ts', import.meta.url), [library.path, String(process.pid)], {
      ...options,
      stdio: [...options.stdio],
    });
    const gone = Promise.withResolvers<void>();
    this.gone = gone.promise;
    this.#child.on('message', (reply: NvmlReply) => this.#settle(reply));
    this.#child.on('error', (error) => {
      this.#hasEnded ||= this.#child.pid === undefined;
      this.#failAll(new NvmlFailure('ended', `the process that asks it: ${errorText(error)}`));
      if (this.#child.pid === undefined) gone.resolve();
    });
    this.#child.on('exit', (code, signal) => {
      this.#hasEnded = true;
      this.#failAll(new NvmlFailure('ended', `the process that asked it ended with ${signal ?? `status ${code}`}`));
      gone.resolve();
    });
    this.#keepAlive(false);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  async ask<A extends NvmlAsk>(ask: A, patienceMs: number): Promise<NvmlAnswers[A]> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#open.set(id, answer);
    this.#keepAlive(true);
    this.#send({ id, ask });
    const value = await withPatience(answer.promise, patienceMs);
    if (value === 'late') {
      this.#open.delete(id);
      throw new NvmlFailure('late', `it did not answer within ${patienceMs / 1000} s; a GPU may have fallen off the bus (see dmesg)`);
    }
    return value as NvmlAnswers[A];
  }

  /** Lets go of the GPUs and ends; killed when it does not within that time. Resolves when it is gone, or was killed. */
  async end(patienceMs: number): Promise<void> {
    if (this.#open.size === 0) {
      this.#send({ ask: 'end' });
      if ((await withPatience(this.gone, patienceMs)) !== 'late') return;
    }
    this.kill();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
    this.#failAll(new NvmlFailure('ended', 'the process that asked it was ended'));
  }

  #send(question: NvmlQuestion): void {
    // One that has ended meanwhile is told by `exit`.
    this.#child.send(question, () => {});
  }

  #settle(reply: NvmlReply): void {
    const open = this.#open.get(reply.id);
    this.#open.delete(reply.id);
    if (reply.ok) open?.resolve(reply.value);
    else open?.reject(new NvmlFailure(reply.stage, reply.error));
    this.#keepAlive(this.#open.size > 0);
  }

  #failAll(failure: NvmlFailure): void {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { reject } of open) reject(failure);
    this.#keepAlive(false);
  }

  #keepAlive(asked: boolean): void {
    const channel = this.#child.channel;
    if (asked) {
      this.#child.ref();
      channel?.ref();
    } else {
      this.#child.unref();
      channel?.unref();
    }
  }
}
