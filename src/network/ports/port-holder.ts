/** Which program of the host holds a port: for the message of a conflict, so it may read all of /proc. Only the first that is found is told. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** `nginx, pid 812`, or null when it cannot be found (it may be gone already). */
export function findPortHolder(protocol: 'tcp' | 'udp' | 'sctp', port: number): string | null {
  if (protocol === 'sctp') return null;
  const inodes = new Set([`/proc/net/${protocol}`, `/proc/net/${protocol}6`].flatMap((table) => socketInodes(readOrNothing(table), port)));
  return inodes.size === 0 ? null : processWith(inodes);
}

/** Of sockets bound to the port, connected ones left out. `sl local remote state … inode` (proc_net_tcp of the kernel's documentation). */
export function socketInodes(table: string, port: number): readonly string[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', remote = '']) => Number.parseInt(local.split(':').at(-1) ?? '', 16) === port && /:0000$/.test(remote))
    .flatMap((fields) => fields[9] ?? []);
}

function processWith(inodes: ReadonlySet<string>): string | null {
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name))) {
    const holds = namesIn(`/proc/${pid}/fd`).some((fd) =>
      inodes.has(/^socket:\[(\d+)\]$/.exec(linkOrNothing(`/proc/${pid}/fd/${fd}`))?.[1] ?? ''),
    );
    if (holds) return `${readOrNothing(`/proc/${pid}/comm`).trim()}, pid ${pid}`;
  }
  return null;
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkOrNothing(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
