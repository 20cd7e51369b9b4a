/** Sockets that the API is served on: made with mode 0660 and a group, taken over when their daemon is dead, refused when it lives. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { conflict, errorText, hasErrnoCode, invalid } from '../base/errors.ts';
import type { DaemonOptions, ListenAddress } from './daemon-options.ts';

export async function listenOn(
  server: Server,
  address: ListenAddress,
  group: DaemonOptions['group'],
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  if (address.kind === 'passed') {
    await listen(server, { fd: passedDescriptor(environment) });
    return 'fd://';
  }
  await removeDeadSocket(address.path);
  mkdirSync(dirname(address.path), { recursive: true, mode: 0o755 });
  // Nobody may connect between bind and chmod.
  const before = process.umask(0o177);
  try {
    await listen(server, { path: address.path });
  } finally {
    process.umask(before);
  }
  giveToGroup(address.path, group);
  return `unix://${address.path}`;
}

function listen(server: Server, where: { fd: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(invalid(`cannot listen on ${'path' in where ? where.path : `descriptor ${where.fd}`}: ${cause.message}`, { cause }));
    server.once('error', fail);
    server.listen(where, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

async function removeDeadSocket(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) throw invalid(`cannot listen on ${path}: a file that is no socket is there`);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return;
    throw error;
  }
  if (await answers(path))
    throw conflict(`cannot listen on ${path}: another daemon answers there. Stop it, or give this one its own --host`);
  unlinkSync(path);
}

/** Connecting is enough: a dead daemon's socket refuses. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      if (hasErrnoCode(error, 'ECONNREFUSED', 'ENOENT')) resolve(false);
      else if (hasErrnoCode(error, 'EAGAIN')) resolve(true);
      else reject(invalid(`cannot tell whether a daemon answers on ${path}: ${errorText(error)}`, { cause: error }));
    });
  });
}

function giveToGroup(path: string, group: string | null): void {
  const id = groupId(group);
  if (id === null) {
    if (group !== null) throw invalid(`cannot give ${path} to group ${group}: there is no such group`);
    return;
  }
  chownSync(path, -1, id);
  chmodSync(path, 0o660);
}

/** Read from the file, never asked of the C library, whose modules may block. A number is a group id. */
function groupId(group: string | null): number | null {
  if (group !== null && /^\d+$/.test(group)) return Number(group);
  const groups = new Map(
    readFileSync('/etc/group', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .map(([name = '', , id = '']) => [name, Number(id)] as const),
  );
  const names = group === null ? ['gantry', 'docker'] : [group];
  return names.map((name) => groups.get(name)).find((id) => id !== undefined) ?? null;
}

/** Socket activation (sd_listen_fds): descriptors start at 3, and only the process named by LISTEN_PID may take them. */
function passedDescriptor(environment: NodeJS.ProcessEnv): number {
  const count = Number(environment.LISTEN_FDS ?? 0);
  if (count < 1 || Number(environment.LISTEN_PID ?? 0) !== process.pid) {
    throw invalid('cannot listen on fd://: no socket was passed (LISTEN_FDS and LISTEN_PID are for socket activation by systemd)');
  }
  if (count > 1) throw invalid(`cannot listen on fd://: ${count} sockets were passed, one is expected`);
  return 3;
}
