/** Dispatch only: `gantry daemon` becomes the daemon, everything else goes to the command line. The daemon's code is loaded when asked for. */
import { runCli } from '../cli/cli.ts';

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] !== 'daemon') {
    return runCli(argv, { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env, cwd: process.cwd() });
  }
  // The bootstrap script knows the daemon by this name (`/proc/PID/comm`).
  process.title = 'gantryd';
  const { runDaemon } = await import('../daemon/daemon.ts');
  return runDaemon(argv.slice(1), process.env);
}

// The exit code is set, not forced: what was written to a slow pipe still has to leave.
main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (thrown: unknown) => {
    process.stderr.write(`gantry: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    process.exitCode = 125;
  },
);
