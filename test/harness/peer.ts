/**
 * The peer engine: Debian's dockerd on a private socket and data root, in a network and a mount namespace of its own, so that its iptables rules, bridge and
 * mounts stay out of ours. Stopped by pid; its namespaces take everything else along.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from './command.ts';

export interface Peer {
  readonly host: string;
  readonly directory: string;
  /** dockerd's own pid and those of its containerd, for memory figures. */
  pids(): readonly number[];
  stop(): Promise<void>;
}

/** Why the peer cannot run here, or null. */
export function peerMissing(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/usr/sbin/dockerd')) return 'needs the peer (apt-get install docker.io)';
  return null;
}

export async function startPeer(): Promise<Peer> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-peer-'));
  const socket = join(directory, 'docker.sock');
  const script = `
    ip link set lo up
    mount --make-rprivate /
    exec /usr/sbin/dockerd -H unix://${socket} --data-root ${directory}/data --exec-root ${directory}/run \
      --pidfile ${directory}/pid --storage-driver overlay2 --log-level warn >${directory}/log 2>&1`;
  const child = spawn('unshare', ['--net', '--mount', '/bin/sh', '-c', script], { stdio: 'ignore', detached: true });
  const peer: Peer = {
    host: `unix://${socket}`,
    directory,
    pids: () => familyOf(child.pid ?? -1),
    stop: () => stopPeer(child, directory),
  };
  for (let attempt = 0; attempt < 1200; attempt++) {
    if (existsSync(socket) && (await runCommand(['docker', '-H', peer.host, 'version'])).status === 0) return peer;
    if (child.exitCode !== null) break;
    await delay(100);
  }
  const log = existsSync(`${directory}/log`) ? readFileSync(`${directory}/log`, 'utf8').slice(-2000) : '';
  await peer.stop();
  throw new Error(`the peer did not start: ${log}`);
}

async function stopPeer(child: ChildProcess, directory: string): Promise<void> {
  const pid = child.pid ?? -1;
  const family = familyOf(pid);
  if (child.exitCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    process.kill(pid, 'SIGTERM');
    await Promise.race([ended, delay(15_000, undefined, { ref: false })]);
  }
  for (const left of family.filter((other) => isAlive(other))) process.kill(left, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The process and all its descendants. */
export function familyOf(pid: number): number[] {
  let children = '';
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return [];
  }
  return [pid, ...children.split(' ').filter(Boolean).map(Number).flatMap(familyOf)];
}
