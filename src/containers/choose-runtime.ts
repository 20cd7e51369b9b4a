/** Which runtime a container is created for, and what is to be said about it. */
import type { RuntimeNames } from '../runtime/runtime-names.ts';

export interface ChosenRuntime {
  /** To be stored: what inspect shows and every start uses. */
  readonly name: string;
  readonly warnings: readonly string[];
}

export async function chooseRuntime(runtimes: RuntimeNames, asked: string): Promise<ChosenRuntime> {
  const name = runtimes.resolve(asked);
  const version = await runtimes.version(name);
  if (version === null || version.weakness === null) return { name, warnings: [] };
  return { name, warnings: [`The runtime "${name}": ${version.weakness}. The runtime native has these fixes.`] };
}
