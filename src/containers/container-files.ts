/**
 * /etc/hosts, /etc/hostname and /etc/resolv.conf of a container: written at each start into its own directory and bound into it, and rewritten in place (a bind
 * mount stays on the file it was made from) when its networks change. A container on another's network has that one's files.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';
import type { DnsWishes, Sandbox } from '../network/networks.ts';
import type { ContainerPaths } from './container-paths.ts';
import { hostsText, resolvText } from './network-files.ts';

export interface NetworkFacts {
  readonly mode: string;
  readonly hostname: string;
  readonly domainname: string;
  /** Its own, in the order in which networks were joined. */
  readonly addresses: readonly string[];
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

export async function writeNetworkFiles(paths: ContainerPaths, facts: NetworkFacts): Promise<void> {
  await Promise.all([
    write(paths.hostname, `${facts.hostname}\n`),
    writeHosts(paths, facts),
    write(paths.resolvConf, await resolvConf(facts)),
  ]);
}

export async function writeHosts(paths: ContainerPaths, facts: NetworkFacts): Promise<void> {
  await write(paths.hosts, await hosts(facts));
}

async function hosts({ mode, hostname, domainname, addresses, extraHosts, hostGateway, links }: NetworkFacts): Promise<string> {
  const extra = hostsText(mode === 'host' ? await readHostFile('/etc/hosts') : localHosts, {
    ExtraHosts: expandGateway(extraHosts, hostGateway),
  });
  const names = domainname === '' ? [hostname] : [`${hostname}.${domainname}`, hostname];
  const own = addresses.map((address) => ({ address, names }));
  return extra + [...links, ...own].map((line) => `${line.address}\t${line.names.join(' ')}\n`).join('');
}

/** `name:host-gateway` is the host as containers reach it, by each of its addresses. */
function expandGateway(extraHosts: readonly string[], hostGateway: readonly string[]): string[] {
  return extraHosts.flatMap((entry) => {
    const [, name, address] = /^([^:=]*)[:=](.*)$/.exec(entry) ?? [];
    return address === 'host-gateway' ? hostGateway.map((gateway) => `${name}:${gateway}`) : [entry];
  });
}

/** As Docker writes it. */
const localHosts = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

async function resolvConf({ mode, dns, resolver }: NetworkFacts): Promise<string> {
  const host = await readHostFile('/etc/resolv.conf');
  const servers = resolver.kind === 'embedded' ? [resolver.address] : [...dns.servers];
  return resolvText(host, { NetworkMode: mode, Dns: servers, DnsSearch: [...dns.search], DnsOptions: [...dns.options] });
}

async function write(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o644 });
}

async function readHostFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return '';
    throw error;
  }
}
