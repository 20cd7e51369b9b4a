/** `gantry device generate` and `gantry device hook` (src/main/main.ts), which ask no daemon; `device ls` and `device inspect` do, and belong to the command line. */
import { runTool, type ToolGroup } from '../tool-command.ts';

const device: ToolGroup = {
  title: 'gantry device',
  summary: 'Manage GPUs and other devices',
  commands: {
    generate: async () => (await import('./generate-command.ts')).generateCommand,
    hook: async () => (await import('./hook-command.ts')).hookCommand,
  },
};

export function runDeviceCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return runTool(device, argv, environment);
}
