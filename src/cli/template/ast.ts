/** A parsed template. Every expression remembers where it starts and how it reads, for error messages. */

export interface Place {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | { readonly kind: 'break' | 'continue' }
  | { readonly kind: 'template'; readonly name: string; readonly pipeline: Pipeline | null; readonly place: Place };

export interface Pipeline {
  /** Names with `$`: `$x := …` has one, `range $i, $x := …` two. */
  readonly variables: readonly string[];
  /** `$x = …` changes an existing variable. */
  readonly assigns: boolean;
  readonly commands: readonly Command[];
}

/** A function, method or field with its arguments, or a single operand. */
export interface Command {
  readonly operands: readonly Operand[];
  readonly place: Place;
}

export type Operand = { readonly place: Place } & (
  | { readonly kind: 'dot' }
  | { readonly kind: 'nil' }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'field'; readonly names: readonly string[] }
  | { readonly kind: 'variable'; readonly name: string; readonly names: readonly string[] }
  | { readonly kind: 'chain'; readonly base: Operand; readonly names: readonly string[] }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline }
);

export interface Template {
  readonly body: readonly Node[];
  /** `{{define "name"}}` and `{{block "name" .}}`. */
  readonly definitions: ReadonlyMap<string, readonly Node[]>;
}
