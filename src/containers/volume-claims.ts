/** Volumes of containers that are being created: used, though no container in the registry says so yet. */
import type { ContainerId } from '../base/brand.ts';

export class VolumeClaims {
  readonly #names = new Map<ContainerId, Set<string>>();

  claim(name: string, container: ContainerId): void {
    const names = this.#names.get(container) ?? new Set<string>();
    this.#names.set(container, names.add(name));
  }

  /** The container exists, or never will. */
  drop(container: ContainerId): void {
    this.#names.delete(container);
  }

  holdersOf(name: string): readonly ContainerId[] {
    return [...this.#names].filter(([, names]) => names.has(name)).map(([container]) => container);
  }
}
