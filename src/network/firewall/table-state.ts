/**
 * The elements that our table should hold, with who wants them counted: two published ports can need the same element. A change is prepared, sent to the
 * kernel, and only then kept, so that after a refusal nothing of it is left.
 */
import type { ElementData } from '../../linux/nftables/batch.ts';
import type { SetName } from './table.ts';
import type { TableElement } from './table-elements.ts';

interface Wanted {
  readonly element: TableElement;
  count: number;
}

export interface ElementChange {
  readonly remove: readonly TableElement[];
  readonly add: readonly TableElement[];
}

export class TableState {
  readonly #wanted = new Map<string, Wanted>();

  get elements(): TableElement[] {
    return [...this.#wanted.values()].map(({ element }) => element);
  }

  /** What the kernel has to do so that `remove` is wanted once less and `add` once more. */
  prepare(remove: readonly TableElement[], add: readonly TableElement[]): ElementChange {
    const counts = new Map<string, { element: TableElement; delta: number }>();
    const count = (element: TableElement, delta: number): void => {
      const key = keyOf(element);
      counts.set(key, { element, delta: (counts.get(key)?.delta ?? 0) + delta });
    };
    for (const element of remove) count(element, -1);
    for (const element of add) count(element, 1);
    const change = { remove: [] as TableElement[], add: [] as TableElement[] };
    for (const [key, { element, delta }] of counts) {
      const before = this.#wanted.get(key)?.count ?? 0;
      const after = before + delta;
      if (before > 0 && after <= 0) change.remove.push(element);
      if (before === 0 && after > 0) change.add.push(element);
    }
    return change;
  }

  keep(remove: readonly TableElement[], add: readonly TableElement[]): void {
    for (const element of add) {
      const wanted = this.#wanted.get(keyOf(element));
      if (wanted) wanted.count++;
      else this.#wanted.set(keyOf(element), { element, count: 1 });
    }
    for (const element of remove) {
      const wanted = this.#wanted.get(keyOf(element));
      if (wanted && --wanted.count === 0) this.#wanted.delete(keyOf(element));
    }
  }

  clear(): void {
    this.#wanted.clear();
  }

  /** From what is there to what is wanted. */
  difference(present: readonly TableElement[]): ElementChange {
    const there = new Map(present.map((element) => [keyOf(element), element]));
    return {
      remove: [...there].filter(([key]) => !this.#wanted.has(key)).map(([, element]) => element),
      add: [...this.#wanted].filter(([key]) => !there.has(key)).map(([, { element }]) => element),
    };
  }
}

export function bySet(elements: readonly TableElement[]): Map<SetName, TableElement[]> {
  return Map.groupBy(elements, ({ set }) => set);
}

/** Key and data: the same key with other data is another element, and has to be replaced. */
function keyOf(element: TableElement): string {
  return `${keyText(element)} ${dataText(element.data)}`;
}

export function keyText({ set, key }: TableElement): string {
  return `${set} ${text(key)}`;
}

export function dataText(data: ElementData): string {
  if (data === null) return '';
  return data instanceof Uint8Array ? text(data) : `${data.code} ${data.chain}`;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
