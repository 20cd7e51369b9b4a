/** All containers by id and name. Names are reserved before anything of a container exists, so that two creations never share one. */
import type { ContainerId } from '../base/brand.ts';
import { conflict, invalid, notFound } from '../base/errors.ts';
import type { Container } from './container.ts';

export class ContainerRegistry {
  readonly #byId = new Map<string, Container>();
  #sequence = 0;
  readonly #names = new Map<string, ContainerId>();

  /** In the order of their creation. */
  all(): readonly Container[] {
    return [...this.#byId.values()];
  }

  get(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  add(container: Container): void {
    container.sequence = ++this.#sequence;
    this.#byId.set(container.id, container);
    this.#names.set(container.name, container.id);
  }

  delete(container: Container): void {
    this.#byId.delete(container.id);
    this.releaseName(container.name, container.id);
  }

  isNameFree(name: string): boolean {
    return !this.#names.has(name);
  }

  /** It is being created, or is there. */
  isReserved(id: string): boolean {
    return [...this.#names.values()].some((owner) => owner === id);
  }

  /** Throws Docker's conflict when another container has the name. */
  reserveName(name: string, id: ContainerId): void {
    const owner = this.#names.get(name);
    if (owner !== undefined) {
      throw conflict(
        `Conflict. The container name "/${name}" is already in use by container "${owner}". ` +
          'You have to remove (or rename) that container to be able to reuse that name.',
      );
    }
    this.#names.set(name, id);
  }

  releaseName(name: string, id: ContainerId): void {
    if (this.#names.get(name) === id) this.#names.delete(name);
  }

  /** A full id, a name with or without `/`, or a prefix that only one id has. */
  resolve(reference: string): Container {
    const found = this.find(reference);
    if (found === null) throw notFound(`No such container: ${reference}`);
    return found;
  }

  find(reference: string): Container | null {
    const name = reference.startsWith('/') ? reference.slice(1) : reference;
    const exact = this.#byId.get(reference) ?? this.#byId.get(this.#names.get(name) ?? '');
    if (exact !== undefined) return exact;
    if (!/^[0-9a-f]{1,64}$/.test(reference)) return null;
    const [match = null, ...more] = this.all().filter(({ id }) => id.startsWith(reference));
    if (more.length > 0) throw invalid(`Multiple IDs found with provided prefix: ${reference}`);
    return match;
  }
}
