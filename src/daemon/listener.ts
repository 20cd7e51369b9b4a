/**
 * Sockets that the API is served on. Unix: made with mode 0660 and a group, taken over when their daemon is dead, refused when it lives. TCP: by the rules of
 * `listen-addresses.ts`.
 */
import { X509Certificate } from 'node:crypto';
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { type LocalTransport, renewTls, type TcpTransport, type TlsMaterial } from '../api/transport.ts';
import { conflict, errorText, hasErrnoCode, invalid } from '../base/errors.ts';
import { tcpHostOf } from '../linux/socket-name.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { type ListenAddress, refuseOpen, type TcpAddress, type TlsFiles } from './listen-addresses.ts';

/** Servers of the one API; `tls` and `ownNames` are for TCP. */
export type MakeServer = (transport: LocalTransport | Omit<TcpTransport, 'isContainer'>) => Server;

export interface Listener {
  readonly server: Server;
  readonly address: string;
  /** Reads the files of TLS again, for connections to come. Throws, and changes nothing, when they cannot be used. */
  renew(): void;
}

/** Where there is no TLS. */
const nothingToRenew = (): void => {};

/** A socket that was passed in may be several. */
export async function listenOn(
  address: ListenAddress,
  make: MakeServer,
  options: Pick<DaemonOptions, 'group' | 'tls' | 'insecureTcp'>,
  environment: NodeJS.ProcessEnv,
): Promise<readonly Listener[]> {
  switch (address.kind) {
    case 'unix':
      return [await listenOnPath(make({ kind: 'local' }), address.path, options.group)];
    case 'tcp':
      return [await listenOnTcp(address, tcpServer(make, options.tls), options.tls !== null)];
    case 'passed':
      return await Promise.all(passedDescriptors(environment).map((fd) => listenOnDescriptor(fd, make, options)));
  }
}

export async function listenOnPath(server: Server, path: string, group: string | null): Promise<Listener> {
  await removeDeadSocket(path);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // Nobody may connect between bind and chmod.
  const before = process.umask(0o177);
  try {
    await listen(server, { path }, path);
  } finally {
    process.umask(before);
  }
  giveToGroup(path, group);
  return { server, address: `unix://${path}`, renew: nothingToRenew };
}

/** Port 0 is the kernel's choice, so the address is told as it became. */
async function listenOnTcp({ host, port }: TcpAddress, { server, renew }: RenewableServer, tls: boolean): Promise<Listener> {
  await listen(server, { host, port }, `${host}:${port}`);
  const bound = server.address();
  // A name may lead anywhere, and elsewhere tomorrow: what counts is where it led.
  if (bound !== null && typeof bound === 'object') {
    try {
      refuseOpen({ host: bound.address, port: bound.port }, tls, true);
    } catch (error) {
      server.close();
      throw error;
    }
    port = bound.port;
  }
  return { server, address: `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`, renew };
}

/** Which kind of socket it is can be seen only by listening on it; until it is accepted nobody is served. */
async function listenOnDescriptor(
  fd: number,
  make: MakeServer,
  { tls, insecureTcp }: Pick<DaemonOptions, 'tls' | 'insecureTcp'>,
): Promise<Listener> {
  const host = passedHost(fd);
  if (host !== null) refuseOpen(host, tls !== null, insecureTcp);
  const { server, renew } = host === null ? { server: make({ kind: 'local' }), renew: nothingToRenew } : tcpServer(make, tls);
  await listen(server, { fd }, `descriptor ${fd}`);
  return { server, address: 'fd://', renew };
}

function passedHost(fd: number): ReturnType<typeof tcpHostOf> {
  try {
    return tcpHostOf(fd);
  } catch (cause) {
    throw invalid(`cannot listen on fd://: descriptor ${fd}, which LISTEN_FDS promises, is no socket`, { cause });
  }
}

type RenewableServer = Pick<Listener, 'server' | 'renew'>;

function tcpServer(make: MakeServer, files: TlsFiles | null): RenewableServer {
  if (files === null) return { server: make({ kind: 'tcp', tls: null, ownNames: ownNames([]) }), renew: nothingToRenew };
  const { material, names } = readTls(files);
  const accepted = ownNames(names);
  const server = withFiles(files, () => make({ kind: 'tcp', tls: material, ownNames: accepted }));
  return {
    server,
    renew() {
      const fresh = readTls(files);
      withFiles(files, () => renewTls(server, fresh.material));
      accepted.clear();
      for (const name of ownNames(fresh.names)) accepted.add(name);
    },
  };
}

function ownNames(certified: readonly string[]): Set<string> {
  return new Set([hostname().toLowerCase(), ...certified]);
}

function readTls(files: TlsFiles): { readonly material: TlsMaterial; readonly names: readonly string[] } {
  const [authority, certificate, key] = [files.authority, files.certificate, files.key].map(readPem) as [Buffer, Buffer, Buffer];
  try {
    return { material: { authority, certificate, key }, names: namesIn(certificate) };
  } catch (cause) {
    throw invalid(`cannot read the certificate ${files.certificate}: ${errorText(cause)}`, { cause });
  }
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw invalid(`cannot listen with TLS: ${errorText(cause)}`, { cause });
  }
}

function withFiles<T>({ authority, certificate, key }: TlsFiles, use: () => T): T {
  try {
    return use();
  } catch (cause) {
    throw invalid(`cannot use ${certificate}, ${key} and ${authority} for TLS: ${errorText(cause)}`, { cause });
  }
}

/** DNS names that the certificate is for: clients that verify it use one of them. */
function namesIn(certificate: Buffer): readonly string[] {
  const { subjectAltName = '', subject } = new X509Certificate(certificate);
  const alternatives = [...subjectAltName.matchAll(/DNS:([^,\s]+)/g)].map((match) => match[1] ?? '');
  const common = /^CN=(.+)$/m.exec(subject)?.[1];
  return [...alternatives, ...(common === undefined ? [] : [common])].map((name) => name.toLowerCase());
}

function listen(server: Server, where: { fd: number } | { path: string } | { host: string; port: number }, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => reject(invalid(`cannot listen on ${name}: ${cause.message}`, { cause }));
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
function passedDescriptors(environment: NodeJS.ProcessEnv): readonly number[] {
  const count = Number(environment.LISTEN_FDS ?? 0);
  if (!(count >= 1) || Number(environment.LISTEN_PID ?? 0) !== process.pid) {
    throw invalid('cannot listen on fd://: no socket was passed (LISTEN_FDS and LISTEN_PID are for socket activation by systemd)');
  }
  return Array.from({ length: count }, (_, index) => 3 + index);
}
