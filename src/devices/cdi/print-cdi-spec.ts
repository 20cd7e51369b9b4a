/** A description as a file has it. */
import type { CdiSpec } from './cdi-spec.ts';

export async function printCdiSpec(spec: CdiSpec, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(spec, null, 2)}\n`;
  const { stringify } = await import('yaml');
  // Whatever a reader of 1.1 would take for something else than text (`0`, `0:1`, `yes`) gets quotes.
  return stringify(spec, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}
