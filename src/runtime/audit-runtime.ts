/** Audits the exec root's sockets and processes: monitors and launchers that serve no container, and processes that a monitor left behind. */
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrnoCode } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import { killProcess, type ProcessEntry, readCommandLine, readProcesses } from '../linux/process-table.ts';

export interface RuntimeAudit {
  readonly execRoot: string;
  /** The launcher that the daemon uses. */
  readonly launcher: number;
  /** Whether the container that this socket is named after runs, or is just being started or ended. */
  serves(socketName: string): boolean;
}

export async function auditRuntime(audit: RuntimeAudit): Promise<readonly Finding[]> {
  return [...(await staleSockets(audit)), ...(await strayProcesses(audit))];
}

async function staleSockets({ execRoot, serves }: RuntimeAudit): Promise<readonly Finding[]> {
  const directory = join(execRoot, 'm');
  return (await namesIn(directory))
    .filter((name) => !serves(name))
    .map((name) => ({
      kind: 'socket',
      what: join(directory, name),
      why: 'no container of this monitor runs',
      repair: {
        does: 'removes it',
        run: async () => {
          if (!serves(name)) await rm(join(directory, name), { force: true });
        },
      },
    }));
}

async function strayProcesses(audit: RuntimeAudit): Promise<readonly Finding[]> {
  const processes = await readProcesses();
  const ours = await nativeProcesses(audit.execRoot, processes);
  const monitors = ours.filter(({ name }) => name === 'gantry-monitor');
  const parents = new Set(monitors.map(({ parent }) => parent));
  const launchers = new Set(ours.filter(({ name }) => name === 'gantry-launcher').map(({ pid }) => pid));
  const sockets = await monitorSockets();
  const found: Finding[] = [];
  for (const monitor of monitors) {
    const socket = await socketOf(monitor.pid, sockets);
    // Before it listens and after it stopped it is on its way.
    if (socket !== null && !audit.serves(socket)) found.push(stray(monitor, 'it looks after no container that runs'));
  }
  for (const process of processes) {
    if (launchers.has(process.pid) && process.pid !== audit.launcher && !parents.has(process.pid))
      found.push(stray(process, 'another launcher serves this exec root, and it has no monitors left'));
    if (launchers.has(process.parent) && process.name !== 'gantry-monitor' && process.state !== 'Z')
      found.push(stray(process, 'the monitor of its container is gone'));
  }
  return found;
}

function stray(process: ProcessEntry, why: string): Finding {
  return {
    kind: 'process',
    what: `${process.name} (${process.pid})`,
    why,
    repair: { does: 'ends it', run: () => killProcess(process, 'SIGKILL') },
  };
}

/** Launchers and monitors, which are forks of them, of one exec root. */
async function nativeProcesses(execRoot: string, processes: readonly ProcessEntry[]): Promise<readonly ProcessEntry[]> {
  const candidates = processes.filter(({ name, state }) => name.startsWith('gantry-') && state !== 'Z');
  const own = await Promise.all(
    candidates.map(async ({ pid }) => {
      const argv = await readCommandLine(pid);
      return argv[argv.indexOf('--exec-root') + 1] === execRoot && argv.includes('--exec-root');
    }),
  );
  return candidates.filter((_, index) => own[index]);
}

/** Inode → name below `m/`, of every exec root: monitors bind them with a path relative to it. */
async function monitorSockets(): Promise<ReadonlyMap<string, string>> {
  const lines = (await readFile('/proc/self/net/unix', 'utf8')).split('\n');
  return new Map(
    lines.flatMap((line) => {
      const [, , , , , , inode = '', path = ''] = line.trim().split(/\s+/);
      const name = /(?:^|\/)m\/([0-9a-f]{16})$/.exec(path)?.[1];
      return name === undefined ? [] : [[inode, name] as const];
    }),
  );
}

async function socketOf(pid: number, sockets: ReadonlyMap<string, string>): Promise<string | null> {
  const directory = `/proc/${pid}/fd`;
  for (const name of await namesIn(directory)) {
    const inode = /^socket:\[(\d+)\]$/.exec(await readlink(join(directory, name)).catch(() => ''))?.[1];
    const socket = inode === undefined ? undefined : sockets.get(inode);
    if (socket !== undefined) return socket;
  }
  return null;
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ESRCH')) return [];
    throw error;
  }
}
