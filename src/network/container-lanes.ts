/** Changes of one container's network run one after another; those of different containers side by side. */
import type { ContainerId } from '../base/brand.ts';

export class ContainerLanes {
  readonly #last = new Map<ContainerId, Promise<unknown>>();

  async run<T>(container: ContainerId, change: () => Promise<T>): Promise<T> {
    const before = this.#last.get(container) ?? Promise.resolve();
    const own = before.then(change, change);
    this.#last.set(container, own);
    try {
      return await own;
    } finally {
      if (this.#last.get(container) === own) this.#last.delete(container);
    }
  }
}
