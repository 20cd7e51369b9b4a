/**
 * resolv.conf(5): what a file says, which of its servers a container can reach by itself, and where the host's is.
 */
import { readFile } from 'node:fs/promises';
import { isIP, isIPv4 } from 'node:net';
import { hasErrnoCode } from '../../base/errors.ts';

export const embeddedResolver = '127.0.0.11';
export const hostResolvConf = '/etc/resolv.conf';
/** systemd-resolved keeps the servers that stand behind its 127.0.0.53 here. */
const systemdResolvConf = '/run/systemd/resolve/resolv.conf';

export interface ResolvConf {
  /** Addresses; IPv6 perhaps with a scope: `fe80::1%eth0`. */
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /** Lines with other directives (`sortlist`), passed on as they are. */
  readonly other: readonly string[];
}

export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  const options: string[] = [];
  const other: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/);
    if (keyword === '' || keyword.startsWith('#') || keyword.startsWith(';')) continue;
    const [value] = values;
    if (keyword === 'nameserver') {
      if (value !== undefined && isIP(value) !== 0) nameservers.push(value);
    } else if (keyword === 'search' || keyword === 'domain') {
      // The last one counts; `domain` is the old word for a list of one.
      if (value !== undefined) search = keyword === 'domain' ? [value] : values;
    } else if (keyword === 'options') options.push(...values);
    else other.push(line.trim());
  }
  return { nameservers, search, options, other };
}

/** Not the host's loopback, not behind a scope that means an interface of the host. */
export function reachableFromContainer(nameserver: string, ipv6: boolean): boolean {
  if (isIPv4(nameserver)) return !nameserver.startsWith('127.') && nameserver !== '0.0.0.0';
  return ipv6 && !nameserver.includes('%') && !isLoopback6(nameserver);
}

function isLoopback6(address: string): boolean {
  const canonical = URL.parse(`http://[${address}]`)?.hostname ?? '';
  // ::, ::1 and the IPv4-mapped 127.0.0.0/8.
  return canonical === '[::1]' || canonical === '[::]' || /^\[::ffff:7f[0-9a-f]{2}:/.test(canonical);
}

/**
 * On the default bridge a container asks the host's servers by itself. When it can reach none of them, the embedded resolver asks them from the host
 * (Docker falls back to a public resolver there) and follows what comes later. `hostText` is that of `readHostResolvConf`.
 */
export function needsEmbeddedResolver(hostText: string, ipv6 = false): boolean {
  const { nameservers } = parseResolvConf(hostText);
  return !nameservers.some((server) => reachableFromContainer(server, ipv6));
}

export interface HostResolvConfPaths {
  readonly host: string;
  readonly systemd: string;
}

/** The host's, or that of systemd-resolved when the host's names nothing but loopback. Missing: ''. */
export async function readHostResolvConf(
  paths: HostResolvConfPaths = { host: hostResolvConf, systemd: systemdResolvConf },
): Promise<string> {
  const text = await readResolvConf(paths.host);
  if (!needsEmbeddedResolver(text, true)) return text;
  const behind = await readResolvConf(paths.systemd);
  return parseResolvConf(behind).nameservers.some((server) => reachableFromContainer(server, true)) ? behind : text;
}

export async function readResolvConf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return '';
    throw error;
  }
}

export interface AskSettings {
  /** Null: not said. */
  readonly timeoutMs: number | null;
  /** How often each server is asked. */
  readonly attempts: number;
  readonly rotate: boolean;
}

/** With the C library's bounds. The last of several counts. */
export function askSettings(options: readonly string[]): AskSettings {
  const seconds = optionNumber(options, 'timeout', 30);
  return {
    timeoutMs: seconds === null ? null : Math.max(1, seconds) * 1000,
    attempts: Math.max(1, optionNumber(options, 'attempts', 5) ?? 2),
    rotate: options.includes('rotate'),
  };
}

function optionNumber(options: readonly string[], name: string, most: number): number | null {
  const value = options.findLast((option) => option.startsWith(`${name}:`))?.slice(name.length + 1);
  return value !== undefined && /^\d+$/.test(value) ? Math.min(most, Number(value)) : null;
}
