/** What a command file exports, and what it is run with. */

import type { DockerConfig } from '../client/credentials/docker-config.ts';
import type { GantryClient } from '../client/gantry-client.ts';
import type { CliIo } from './cli-io.ts';
import type { FlagSpecs } from './flags/flag-spec.ts';
import type { FlagValues } from './flags/flag-values.ts';

export interface Command {
  /** The usage line after the command's name: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly flags: FlagSpecs;
  /** The same flags in the groups that the help shows; default: one group. */
  readonly flagGroups?: readonly { readonly title: string; readonly flags: FlagSpecs }[];
  /** Lines for the end of the help. */
  readonly examples?: string;
  /** How many arguments it takes. */
  readonly args: { readonly min: number; readonly max: number };
  /** False: flags stop at the first argument. Default: true. */
  readonly interspersed?: boolean;
  /** Errors are prefixed with the program's name and end with 125, as those of `docker run`. */
  readonly runLike?: boolean;
  run(context: CommandContext): Promise<number | undefined>;
}

export interface CommandContext {
  readonly io: CliIo;
  readonly flags: FlagValues;
  readonly args: readonly string[];
  /** How the command was called, for messages: `gantry container ls`. */
  readonly title: string;
  readonly config: DockerConfig;
  /** The address that the client uses, as text. */
  readonly address: string;
  /** Made when first asked for. */
  readonly client: GantryClient;
  /** Build of this program; empty when it was not bundled. */
  readonly build: string;
  print(text: string): void;
  printError(text: string): void;
}

export const noArguments = { min: 0, max: 0 } as const;
export const oneArgument = { min: 1, max: 1 } as const;
export const someArguments = { min: 1, max: Number.POSITIVE_INFINITY } as const;
