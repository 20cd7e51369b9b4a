/**
 * Where the daemon listens, and which of it is allowed. Whoever can talk to the API is root on this host, so:
 *
 *   unix://, fd:// (a unix socket)    its mode and its group say who may
 *   tcp://, mutual TLS                whoever has a certificate of `--tlscacert`
 *   tcp://, `--insecure-tcp`          loopback only: every user and program of this host, never the network
 *   tcp:// otherwise                  refused
 */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { invalid } from '../base/errors.ts';

export type ListenAddress = { readonly kind: 'unix'; readonly path: string } | { readonly kind: 'passed' } | TcpAddress;

export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
}

/** Paths of PEM files. Mutual: clients without a certificate of this authority get nothing. */
export interface TlsFiles {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

export interface ListenOptions {
  readonly addresses: readonly ListenAddress[];
  readonly tls: TlsFiles | null;
  readonly insecureTcp: boolean;
}

/** A unix socket's name holds 107 bytes. */
const maxSocketPathBytes = 107;
const plainPort = 2375;
const tlsPort = 2376;

export function parseListenAddress(text: string, tls: boolean): ListenAddress {
  if (/^fd:\/\/\*?\d*$/.test(text)) return { kind: 'passed' };
  if (text.startsWith('tcp://')) return parseTcp(text, tls);
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (!isAbsolute(path))
    throw invalid(`cannot listen on ${JSON.stringify(text)}: write unix:///absolute/path, tcp://ADDRESS:PORT or fd://`);
  if (Buffer.byteLength(path) > maxSocketPathBytes) {
    throw invalid(
      `cannot listen on ${text}: the path of a unix socket may have ${maxSocketPathBytes} bytes, this one has ${Buffer.byteLength(path)}`,
    );
  }
  return { kind: 'unix', path };
}

/** Docker's defaults: loopback, 2375 without TLS and 2376 with it. `tcp://:2376` is every address. */
function parseTcp(text: string, tls: boolean): TcpAddress {
  const rest = text.slice('tcp://'.length).replace(/\/$/, '');
  const match = /^(\[[0-9a-fA-F:.%]+\]|[^:/[\]]*)(?::(\d{1,5}))?$/.exec(rest);
  const port = match?.[2] === undefined ? (tls ? tlsPort : plainPort) : Number(match[2]);
  if (match === null || port > 65_535) throw invalid(`cannot listen on ${text}: write tcp://ADDRESS:PORT`);
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  if (host !== '') return { kind: 'tcp', host, port };
  return { kind: 'tcp', host: rest === '' ? '127.0.0.1' : '0.0.0.0', port };
}

export interface TlsWishes {
  /** `--tlsverify`. */
  readonly verify: boolean;
  /** `--tls`. */
  readonly tls: boolean;
  readonly authority: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
}

/** As dockerd: the files of `DOCKER_CERT_PATH`, else of `~/.docker`, when none are named. Null without TLS. */
export function tlsFiles(wishes: TlsWishes, environment: NodeJS.ProcessEnv = process.env): TlsFiles | null {
  if (!wishes.verify) {
    if (wishes.tls)
      throw invalid(
        '--tls alone would serve everybody who can connect: give --tlsverify, with --tlscacert naming the authority of the clients',
      );
    if ((wishes.authority ?? wishes.certificate ?? wishes.key) !== null)
      throw invalid('--tlscacert, --tlscert and --tlskey are for --tlsverify: give that too');
    return null;
  }
  const directory = environment.DOCKER_CERT_PATH || join(homedir(), '.docker');
  return {
    authority: wishes.authority ?? join(directory, 'ca.pem'),
    certificate: wishes.certificate ?? join(directory, 'cert.pem'),
    key: wishes.key ?? join(directory, 'key.pem'),
  };
}

/** Throws for what would give this host away. */
export function refuseOpenTcp({ addresses, tls, insecureTcp }: ListenOptions): void {
  for (const address of addresses) if (address.kind === 'tcp') refuseOpen(address, tls !== null, insecureTcp);
}

/** Also for a socket that was passed in. */
export function refuseOpen({ host, port }: Pick<TcpAddress, 'host' | 'port'>, tls: boolean, insecureTcp: boolean): void {
  if (tls) return;
  const name = `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (!isLoopback(host))
    throw invalid(
      `refusing to listen on ${name} without mutual TLS: whoever reaches it would be root on this host. Give --tlsverify with --tlscacert, --tlscert and --tlskey`,
    );
  if (!insecureTcp)
    throw invalid(
      `refusing to listen on ${name} without mutual TLS: every user of this host would be root. Give --tlsverify (with --tlscacert, --tlscert and --tlskey), or --insecure-tcp if you mean it`,
    );
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(host);
}
