/** The instructions of a Dockerfile, typed, with nothing expanded yet: variables are known only where a stage is gone through in order. */
import type { Flags } from './flags.ts';
import type { Heredoc } from './heredoc.ts';
import type { LogicalLine } from './line-reader.ts';
import type { Place } from './source-range.ts';
import type { Assignment, Word } from './words.ts';

export interface InstructionSource {
  /** The whole instruction, heredoc bodies included. */
  readonly place: Place;
  readonly line: LogicalLine;
  /** The first word, as written. */
  readonly keyword: Word;
  /** Rules that a comment directly above turns off for it. */
  readonly skippedRules: 'all' | readonly string[];
}

export type Instruction = InstructionSource & InstructionBody;

export type InstructionBody =
  | FromBody
  | { readonly kind: 'arg'; readonly arguments: readonly ArgumentDeclaration[] }
  | { readonly kind: 'env' | 'label'; readonly pairs: readonly Assignment[]; readonly legacy: boolean }
  | { readonly kind: 'run'; readonly flags: Flags; readonly command: Command; readonly heredocs: readonly Heredoc[] }
  | { readonly kind: 'cmd' | 'entrypoint'; readonly command: Command }
  | { readonly kind: 'shell'; readonly words: readonly string[] }
  | CopyBody
  | { readonly kind: 'expose'; readonly ports: readonly Word[] }
  | { readonly kind: 'volume'; readonly paths: readonly Word[] }
  | { readonly kind: 'user' | 'workdir' | 'stopsignal' | 'maintainer'; readonly value: Word }
  | { readonly kind: 'healthcheck'; readonly check: HealthcheckBody }
  | { readonly kind: 'onbuild'; readonly trigger: string; readonly instruction: InstructionBody };

export type InstructionKind = InstructionBody['kind'];

export interface FromBody {
  readonly kind: 'from';
  readonly image: Word;
  readonly platform: Word | null;
  /** As written; names are compared in lower case. */
  readonly stage: Word | null;
  /** `AS`, as written. */
  readonly as: Word | null;
}

export interface ArgumentDeclaration {
  readonly name: Word;
  /** Null: declared, no default. */
  readonly value: Word | null;
}

export type Command =
  /** Goes to the stage's SHELL as it is. */
  | { readonly form: 'shell'; readonly text: string; readonly looksLikeJson: boolean }
  | { readonly form: 'exec'; readonly words: readonly string[] };

export interface CopyBody {
  readonly kind: 'copy' | 'add';
  readonly flags: Flags;
  /** Openers of heredocs among them. */
  readonly sources: readonly CopySource[];
  readonly destination: Word;
}

export type CopySource = { readonly kind: 'path'; readonly word: Word } | { readonly kind: 'heredoc'; readonly heredoc: Heredoc };

export type HealthcheckBody =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'command';
      readonly command: Command;
      /** Nanoseconds; null: the engine's default. */
      readonly interval: number | null;
      readonly timeout: number | null;
      readonly startPeriod: number | null;
      readonly startInterval: number | null;
      readonly retries: number | null;
    };

export interface Stage {
  readonly from: InstructionSource & FromBody;
  /** Lower case; null: unnamed. */
  readonly name: string | null;
  readonly instructions: readonly Instruction[];
}
