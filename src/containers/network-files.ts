/**
 * /etc/hosts, /etc/hostname and /etc/resolv.conf of a container: written anew at each start into its own directory and bound into it. A container on another's
 * network has that one's files.
 *
 * While it runs they are only changed in place (a bind mount stays on the file it was made from), and only as far as they are ours: in hosts the lines that tell of
 * networks and links, resolv.conf as a whole unless somebody in the container edited it. What we wrote last stands beside them, in `network-files.json`.
 */
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { EngineError, hasErrnoCode, invalid } from '../base/errors.ts';
import { parseResolvConf, reachableFromContainer, readHostResolvConf, readResolvConf } from '../network/dns/resolv-conf.ts';
import type { DnsWishes, Sandbox } from '../network/networks.ts';
import type { ContainerPaths } from './container-paths.ts';

export interface NetworkFacts {
  /** As in HostConfig.NetworkMode. */
  readonly mode: string;
  readonly hostname: string;
  readonly domainname: string;
  /** Its own, in the order in which networks were joined. */
  readonly addresses: readonly string[];
  /** Whether its loopback has ::1. */
  readonly ipv6: boolean;
  /** `--add-host`: `name:address`, `name=address`. */
  readonly extraHosts: readonly string[];
  /** What `host-gateway` means there. */
  readonly hostGateway: readonly string[];
  readonly links: readonly HostsLine[];
  readonly resolver: Sandbox['resolver'];
  readonly dns: DnsWishes;
}

export interface HostsLine {
  readonly address: string;
  readonly names: readonly string[];
}

/** What of the host they are made of. */
export interface HostNetworkFiles {
  readonly hosts: string;
  readonly resolvConf: string;
  readonly systemdResolvConf: string;
}

const hostFiles: HostNetworkFiles = {
  hosts: '/etc/hosts',
  resolvConf: '/etc/resolv.conf',
  systemdResolvConf: '/run/systemd/resolve/resolv.conf',
};

export function writeNetworkFiles(paths: ContainerPaths, facts: NetworkFacts, host: HostNetworkFiles = hostFiles): Promise<void> {
  return inTurn(paths, () => writeAnew(paths, facts, host));
}

/** Of a running container, when its networks or those it is linked to changed. What somebody in it wrote there stays. */
export function updateNetworkFiles(paths: ContainerPaths, facts: NetworkFacts, host: HostNetworkFiles = hostFiles): Promise<void> {
  return inTurn(paths, () => update(paths, facts, host));
}

/** Several may come at once: a connect, and the starts of containers that it is linked to. */
async function inTurn({ directory }: ContainerPaths, work: () => Promise<void>): Promise<void> {
  const turn = (underWay.get(directory) ?? Promise.resolve()).catch(() => undefined).then(work);
  underWay.set(directory, turn);
  try {
    await turn;
  } finally {
    if (underWay.get(directory) === turn) underWay.delete(directory);
  }
}

const underWay = new Map<string, Promise<void>>();

async function writeAnew(paths: ContainerPaths, facts: NetworkFacts, host: HostNetworkFiles): Promise<void> {
  const written: Written = { hosts: networkLines(facts), resolvConf: await resolvConfOf(facts, host) };
  const copied = facts.mode === 'host' && facts.extraHosts.length === 0 ? await readResolvConf(host.hosts) : null;
  const files = [
    [paths.hostname, `${facts.hostname}\n`],
    [paths.hosts, copied ?? joinLines([...fixedLines(facts), ...written.hosts])],
    [paths.resolvConf, written.resolvConf],
    [writtenPath(paths), JSON.stringify(written)],
  ] as const;
  await Promise.all(files.map(([path, text]) => writeFile(path, text, { mode: 0o644 })));
}

async function update(paths: ContainerPaths, facts: NetworkFacts, host: HostNetworkFiles): Promise<void> {
  if (facts.mode === 'host') return;
  const before = await readWritten(paths);
  const after: Written = { hosts: networkLines(facts), resolvConf: await resolvConfOf(facts, host) };
  await changeInPlace(paths.hosts, (text) => replaceLines(text, before.hosts, after.hosts));
  await changeInPlace(paths.resolvConf, (text) => (text === before.resolvConf ? after.resolvConf : text));
  await writeFile(writtenPath(paths), JSON.stringify(after), { mode: 0o644 });
}

/** Whether the loopback of a new network namespace has ::1: where the kernel has IPv6 and no `--sysctl` takes it away. */
export function hasIpv6Loopback(sysctls: Readonly<Record<string, string>> | null): boolean {
  const off = ['all', 'default', 'lo'].some((name) => sysctls?.[`net.ipv6.conf.${name}.disable_ipv6`] === '1');
  return !off && existsSync('/proc/net/if_inet6');
}

/** As Docker writes them. */
const localLines = ['127.0.0.1\tlocalhost'];
const localLines6 = [
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

/** What stays while the container runs. With `--add-host` on the host's network too: Docker's rule, so that such a name can replace one of the host. */
function fixedLines({ extraHosts, hostGateway, ipv6 }: NetworkFacts): readonly string[] {
  const extra = extraHosts.flatMap((entry) => extraHostLines(entry, hostGateway));
  return [...localLines, ...(ipv6 ? localLines6 : []), ...lines(extra, ipv6)];
}

function extraHostLines(entry: string, hostGateway: readonly string[]): readonly HostsLine[] {
  const [, name = '', value = ''] = /^([^:=]*)[:=](.*)$/s.exec(entry) ?? [];
  if (value === 'host-gateway') {
    if (hostGateway.length === 0) throw invalid('unable to derive the IP value for host-gateway');
    return hostGateway.map((address) => ({ address, names: [name] }));
  }
  const address = value.replace(/^\[(.*)\]$/s, '$1');
  if (name === '' || /\s/.test(name)) throw invalid(`bad format for add-host: ${JSON.stringify(entry)}`);
  if (isIP(address) === 0) throw invalid(`invalid IP address in add-host: ${JSON.stringify(value)}`);
  return [{ address, names: [name] }];
}

/** What changes with networks: links, then the container itself on each of its networks. */
function networkLines({ hostname, domainname, addresses, links, ipv6 }: NetworkFacts): readonly string[] {
  const full = domainname === '' ? hostname : `${hostname}.${domainname}`;
  const [bare = ''] = full.split('.');
  const names = bare === full ? [full] : [full, bare];
  return lines([...links, ...addresses.map((address) => ({ address, names }))], ipv6);
}

function lines(entries: readonly HostsLine[], ipv6: boolean): readonly string[] {
  return entries.filter(({ address }) => ipv6 || isIP(address) !== 6).map(({ address, names }) => `${address}\t${names.join(' ')}`);
}

/** Lines that were ours and are so no more go, new ones come at the end, everything else stays where it is. */
function replaceLines(text: string, before: readonly string[], after: readonly string[]): string {
  const present = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const kept = present.filter((line) => !before.includes(line) || after.includes(line));
  return joinLines([...kept, ...after.filter((line) => !kept.includes(line))]);
}

function joinLines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('');
}

async function resolvConfOf(facts: NetworkFacts, host: HostNetworkFiles): Promise<string> {
  if (facts.mode === 'host') return resolvConfText(facts, await readResolvConf(host.resolvConf));
  return resolvConfText(facts, await readHostResolvConf({ host: host.resolvConf, systemd: host.systemdResolvConf }));
}

/** The host's, with what was asked instead. Off the host's network without the servers that cannot be reached from there, or with the embedded one alone. */
export function resolvConfText(facts: Pick<NetworkFacts, 'mode' | 'addresses' | 'resolver' | 'dns'>, hostText: string): string {
  const { mode, addresses, resolver, dns } = facts;
  const asked = dns.servers.length + dns.search.length + dns.options.length > 0;
  if (mode === 'host' && !asked) return hostText;
  const host = parseResolvConf(hostText);
  const ipv6 = addresses.some((address) => isIP(address) === 6);
  const reachable = mode === 'host' ? host.nameservers : host.nameservers.filter((server) => reachableFromContainer(server, ipv6));
  const servers = resolver.kind === 'embedded' ? [resolver.address] : dns.servers.length > 0 ? dns.servers : reachable;
  // `--dns-search .` means none.
  const search = dns.search.length > 0 ? dns.search.filter((domain) => domain !== '.') : host.search;
  const chosen = dns.options.length > 0 ? dns.options : host.options;
  const options = resolver.kind === 'embedded' ? withDots(chosen) : chosen;
  return joinLines([
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    ...host.other,
  ]);
}

/** Names of containers have no dot: they are asked as they are first, unless somebody said otherwise. */
function withDots(options: readonly string[]): readonly string[] {
  const valid = options.filter((option) => !option.startsWith('ndots:') || /^ndots:\d+$/.test(option));
  return valid.some((option) => option.startsWith('ndots:')) ? valid : [...valid, 'ndots:0'];
}

interface Written {
  readonly hosts: readonly string[];
  readonly resolvConf: string;
}

function writtenPath({ directory }: ContainerPaths): string {
  return join(directory, 'network-files.json');
}

async function readWritten(paths: ContainerPaths): Promise<Written> {
  try {
    return JSON.parse(await readFile(writtenPath(paths), 'utf8')) as Written;
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT') && !(error instanceof SyntaxError)) throw error;
    return { hosts: [], resolvConf: '' };
  }
}

/** The container can write these files: one that it blew up is not read into memory. */
const longestBytes = 1024 * 1024;

/**
 * In one write, so that who reads meanwhile sees whole lines: a shorter text is filled up with empty lines to the old length, which are then cut off.
 */
async function changeInPlace(path: string, change: (text: string) => string): Promise<void> {
  await using file = await open(path, 'r+');
  const { size } = await file.stat();
  if (size > longestBytes)
    throw new EngineError('system', `${path} is larger than ${longestBytes} bytes: the container filled it, it is left as it is`);
  const text = await file.readFile('utf8');
  const changed = change(text);
  if (changed === text) return;
  const bytes = Buffer.from(changed);
  await file.write(Buffer.concat([bytes, Buffer.alloc(Math.max(0, size - bytes.length), '\n')]), 0, null, 0);
  if (bytes.length < size) await file.truncate(bytes.length);
}
