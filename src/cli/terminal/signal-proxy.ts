/**
 * Signals that reach this process go to the container's. Not SIGTSTP and its like: suspending the client is what ctrl-z should do.
 * Signals that come before the container runs are kept for it.
 */
const PROXIED: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGCONT'];
const FORCED_EXIT_COUNT = 3;

export class SignalProxy implements Disposable {
  readonly #send: (signal: string) => Promise<void>;
  readonly #kept: string[] = [];
  #running = false;
  #interrupts = 0;
  readonly #forced = Promise.withResolvers<'forced'>();

  /** `send` gets the name without SIG. */
  constructor(send: (signal: string) => Promise<void>) {
    this.#send = send;
    for (const signal of PROXIED) process.on(signal, this.#onSignal);
  }

  /** Resolves when somebody interrupts for the third time: the container ignores it, the person means us. */
  get forced(): Promise<'forced'> {
    return this.#forced.promise;
  }

  /** The container runs: what was kept is sent, what comes is sent at once. */
  containerRuns(): void {
    this.#running = true;
    for (const signal of this.#kept.splice(0)) this.#forward(signal);
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    if (name === 'SIGINT' || name === 'SIGTERM') {
      this.#interrupts += 1;
      if (this.#interrupts >= FORCED_EXIT_COUNT) this.#forced.resolve('forced');
    }
    const signal = name.slice(3);
    if (this.#running) this.#forward(signal);
    else this.#kept.push(signal);
  };

  /** The container may have ended in between: its exit is told elsewhere. */
  #forward(signal: string): void {
    this.#send(signal).catch(() => {});
  }

  [Symbol.dispose](): void {
    for (const signal of PROXIED) process.off(signal, this.#onSignal);
  }
}
