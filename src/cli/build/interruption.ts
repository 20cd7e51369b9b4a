/** Ctrl-C and SIGTERM end a build in order: the daemon is told, what is drawn stays readable. The second one ends this process at once. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  #exitCode = 0;

  constructor() {
    for (const name of Object.keys(SIGNALS)) process.on(name, this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get happened(): boolean {
    return this.#exitCode !== 0;
  }

  get exitCode(): number {
    return this.#exitCode;
  }

  readonly #onSignal = (name: NodeJS.Signals): void => {
    const code = SIGNALS[name as keyof typeof SIGNALS];
    if (this.happened) process.exit(code);
    this.#exitCode = code;
    this.#controller.abort(new Error('context canceled'));
  };

  [Symbol.dispose](): void {
    for (const name of Object.keys(SIGNALS)) process.off(name, this.#onSignal);
  }
}
