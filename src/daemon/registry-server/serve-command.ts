/** `gantry registry serve`: in the foreground, until a signal. */

import type { ToolCommand } from '../tool-command.ts';
import { readMaterial } from './registry-material.ts';
import { serveRegistry } from './serve.ts';
import { readServeOptions, serveFlags } from './serve-options.ts';

export const serveCommand: ToolCommand = {
  name: 'serve',
  summary: 'Run a registry in the foreground',
  usage: '[OPTIONS]',
  flags: serveFlags,
  more:
    'Prints one line, "ready" and its addresses, when it serves. SIGTERM finishes requests and ends it, SIGHUP reads the configuration, passwords and certificates again.\n' +
    'What the configuration file may hold: docs/registry.md\n',
  async run(flags, environment) {
    if (flags.isOn('validate') === true) {
      await readMaterial(readServeOptions(flags));
      process.stdout.write('configuration OK\n');
      return 0;
    }
    process.title = 'gantry-registry';
    await serveRegistry(() => readServeOptions(flags), environment);
    return 0;
  },
};
