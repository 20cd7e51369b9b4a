/** Dispatch only: `gantry daemon` becomes the daemon, `gantry registry …` what works on registries, `gantry device generate` what looks at this machine, everything else goes to the command line. Their code is loaded when asked for. */
import { runCli } from '../cli/cli.ts';
import type { CliIo } from '../cli/cli-io.ts';

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === 'registry') {
    const { runRegistryCommand } = await import('../daemon/registry-server/registry-command.ts');
    return runRegistryCommand(argv.slice(1), process.env);
  }
  if (isDeviceTool(argv)) {
    const { runDeviceCommand } = await import('../daemon/device-tool/device-command.ts');
    return runDeviceCommand(argv.slice(1), process.env);
  }
  if (argv[0] !== 'daemon') {
    return runCli(argv, processIo());
  }
  // The bootstrap script knows the daemon by this name (`/proc/PID/comm`).
  process.title = 'gantryd';
  const { runDaemon } = await import('../daemon/daemon.ts');
  return runDaemon(argv.slice(1), process.env);
}

/** What needs no daemon of `gantry device …`. */
function isDeviceTool([group, command]: readonly string[]): boolean {
  return group === 'device' && (command === 'generate' || command === 'hook');
}

/** By getters: a stream that a command does not use is never opened (each costs 1–2 ms of start-up). */
function processIo(): CliIo {
  return {
    get stdin() {
      return process.stdin;
    },
    get stdout() {
      return process.stdout;
    },
    get stderr() {
      return process.stderr;
    },
    env: process.env,
    get cwd() {
      return process.cwd();
    },
  };
}

async function end(argv: readonly string[]): Promise<void> {
  try {
    const code = await main(argv);
    // The command line has flushed its output: leaving now saves 3 ms of waiting for handles to close. The daemon closes its own.
    if (argv[0] === 'daemon' || argv[0] === 'registry' || isDeviceTool(argv)) process.exitCode = code;
    else process.exit(code);
  } catch (thrown) {
    process.stderr.write(`gantry: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exitCode = 125;
  }
}

void end(process.argv.slice(2));
