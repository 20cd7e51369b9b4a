/** `gantry registry …` (src/main/main.ts): its commands. */
import { runTool, type ToolGroup } from '../tool-command.ts';

const registry: ToolGroup = {
  title: 'gantry registry',
  summary: 'Run a registry, or work on one',
  commands: {
    serve: async () => (await import('./serve-command.ts')).serveCommand,
    gc: async () => (await import('./work-commands.ts')).gcCommand,
    check: async () => (await import('./work-commands.ts')).checkCommand,
    retention: async () => (await import('./work-commands.ts')).retentionCommand,
    'rotate-keys': async () => (await import('./work-commands.ts')).rotateKeysCommand,
    copy: async () => (await import('../registry-copy/copy-command.ts')).copyCommand,
    export: async () => (await import('../registry-copy/copy-command.ts')).exportCommand,
    import: async () => (await import('../registry-copy/copy-command.ts')).importCommand,
    htpasswd: async () => (await import('./htpasswd-command.ts')).htpasswdCommand,
  },
};

export function runRegistryCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return runTool(registry, argv, environment);
}
