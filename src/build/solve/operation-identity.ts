/**
 * Which operations are the same: those that would do the same with inputs that are the same. Two stages, or two builds at once, that ask for equal ones share one result.
 *
 * The identity says what is asked for, not what comes of it: an image is its layers, a context is whose it is. The cache has keys of its own, made of what inputs came to.
 */
import { createHash } from 'node:crypto';
import { inputsOf, type Operation } from '../plan/operation.ts';

export class Identities {
  readonly #known = new WeakMap<Operation, string>();
  readonly #contextOf: (name: string) => string;
  readonly #apart: (operation: Operation) => string;

  /** `contextOf`: what tells one build's context from another's. `apart`: what else tells an operation from an equal one; empty: nothing. */
  constructor(contextOf: (name: string) => string, apart: (operation: Operation) => string = () => '') {
    this.#contextOf = contextOf;
    this.#apart = apart;
  }

  of(operation: Operation): string {
    const known = this.#known.get(operation);
    if (known !== undefined) return known;
    const inputs = new Map(inputsOf(operation).map((input) => [input, this.of(input)]));
    const text = JSON.stringify(this.#definition(operation), (_, value: unknown) => inputs.get(value as Operation) ?? value);
    const identity = createHash('sha256')
      .update(`${text} ${this.#apart(operation)}`)
      .digest('hex');
    this.#known.set(operation, identity);
    return identity;
  }

  /** Fields in one order, without titles and places, which are for people. */
  #definition(operation: Operation): object {
    switch (operation.kind) {
      case 'scratch':
        return { kind: 'scratch' };
      case 'image':
        return { kind: 'image', layers: operation.layers.map(({ directory, diffId }) => [directory, diffId]) };
      case 'context':
        return { kind: 'context', of: this.#contextOf(operation.name) };
      default: {
        const { step: _, ...rest } = operation;
        return Object.fromEntries(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
      }
    }
  }
}
