/** The `gantry` that hooks of a written description call: an absolute path, because the runtime of another engine runs them. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from '../../base/errors.ts';
import { installedProgram } from '../../devices/own-hooks.ts';

export function ownProgram(): string {
  const program = bootstrapScript(dirname(fileURLToPath(import.meta.url)));
  return existsSync(installedProgram) && realpathSync(installedProgram) === realpathSync(program) ? installedProgram : program;
}

/** Of the checkout that this code is in, bundled or not. */
function bootstrapScript(folder: string): string {
  const script = join(folder, 'gantry');
  if (existsSync(script) && existsSync(join(folder, 'package.json'))) return script;
  const above = dirname(folder);
  if (above === folder) throw new EngineError('system', 'the program gantry is not found beside its own code');
  return bootstrapScript(above);
}
