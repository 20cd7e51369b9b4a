/** What happens to containers, told to whoever listens, in order and with strictly growing times. */
import type { ContainerId } from '../base/brand.ts';
import type { ContainerEvent } from './containers.ts';

export interface EventSubject {
  readonly id: ContainerId;
  readonly name: string;
  readonly imageReference: string;
  readonly labels: Readonly<Record<string, string>>;
}

export class ContainerEvents {
  readonly #listeners = new Set<(event: ContainerEvent) => void>();
  #lastTime = 0n;

  listen(listener: (event: ContainerEvent) => void): () => void {
    // Wrapped, so that the same function may listen twice.
    const entry = (event: ContainerEvent) => listener(event);
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** Docker's attributes: the labels, then `image` and `name`, then what belongs to the action. */
  emit(action: string, subject: EventSubject, extra: Readonly<Record<string, string>> = {}): void {
    const attributes = Object.fromEntries([
      ...Object.entries(subject.labels),
      ['image', subject.imageReference],
      ['name', subject.name],
      ...Object.entries(extra),
    ]);
    this.#tell({ action, id: subject.id, attributes, timeNano: this.#now() });
  }

  emitPrune(reclaimedBytes: number): void {
    const attributes = { reclaimed: String(reclaimedBytes) };
    // Docker's prune event belongs to no container: its actor has no id.
    this.#tell({ action: 'prune', id: '' as ContainerId, attributes, timeNano: this.#now() });
  }

  #tell(event: ContainerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #now(): bigint {
    const now = BigInt(Date.now()) * 1_000_000n;
    this.#lastTime = now > this.#lastTime ? now : this.#lastTime + 1n;
    return this.#lastTime;
  }
}
