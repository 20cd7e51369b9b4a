/** One thing at a time for each volume, in the order asked; different volumes don't wait for each other. */
export class NameQueue {
  readonly #last = new Map<string, Promise<unknown>>();

  isBusy(name: string): boolean {
    return this.#last.has(name);
  }

  busyNames(): readonly string[] {
    return [...this.#last.keys()];
  }

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const turn = before === undefined ? work() : before.then(work, work);
    this.#last.set(name, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(name) === turn) this.#last.delete(name);
    }
  }

  /** Always in the same order, so that two that want the same two don't wait for each other. */
  runBoth<T>(names: readonly [string, string], work: () => Promise<T>): Promise<T> {
    const [first, second] = [...names].sort() as [string, string];
    return first === second ? this.run(first, work) : this.run(first, () => this.run(second, work));
  }
}
