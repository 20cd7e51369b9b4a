/** What a subcommand of `gantry registry` is. */
import type { RegistryFlag, RegistryFlags } from './registry-flags.ts';

export interface RegistrySubcommand {
  readonly name: string;
  readonly summary: string;
  /** After the name. */
  readonly usage: string;
  readonly flags: readonly RegistryFlag[];
  readonly maxArgs?: number;
  /** Below the options, in its help. */
  readonly more?: string;
  /** The exit code. What a person can cause is thrown as an `EngineError`. */
  run(flags: RegistryFlags, environment: NodeJS.ProcessEnv): Promise<number>;
}
