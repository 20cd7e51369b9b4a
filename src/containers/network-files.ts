/**
 * /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, written anew at each start. They lie in the container's own directory and are bound into it;
 * a container on another's network gets that one's files.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';
import type { HostConfig } from './config.ts';
import type { ContainerPaths } from './container-paths.ts';

/** As Docker writes it. */
const localHosts = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

export async function writeNetworkFiles(paths: ContainerPaths, hostname: string, hostConfig: HostConfig): Promise<void> {
  const onHost = hostConfig.NetworkMode === 'host';
  const hosts = onHost ? await readHostFile('/etc/hosts') : `${localHosts.join('\n')}\n`;
  const files = [
    [paths.hostname, `${hostname}\n`],
    [paths.hosts, hostsText(hosts, hostConfig)],
    [paths.resolvConf, resolvText(await readHostFile('/etc/resolv.conf'), hostConfig)],
  ] as const;
  await Promise.all(files.map(([path, text]) => writeFile(path, text, { mode: 0o644 })));
}

export function hostsText(base: string, { ExtraHosts: extra }: Pick<HostConfig, 'ExtraHosts'>): string {
  const lines = (extra ?? []).map((entry) => {
    const colon = entry.search(/[:=]/);
    return `${entry.slice(colon + 1)}\t${entry.slice(0, colon)}\n`;
  });
  const separator = base === '' || base.endsWith('\n') ? '' : '\n';
  return `${base}${separator}${lines.join('')}`;
}

/**
 * The host's, with what the request replaces. Off the host's network its loopback resolvers are out of reach and left out.
 */
export function resolvText(hostText: string, hostConfig: Pick<HostConfig, 'NetworkMode' | 'Dns' | 'DnsSearch' | 'DnsOptions'>): string {
  const { Dns: dns, DnsSearch: search, DnsOptions: options } = hostConfig;
  const asked = dns.length + search.length + options.length > 0;
  if (hostConfig.NetworkMode === 'host' && !asked) return hostText;
  const lines = hostText.split('\n').filter((line) => hostConfig.NetworkMode === 'host' || !/^\s*nameserver\s+(127\.|::1\b)/.test(line));
  if (!asked) return lines.join('\n');
  const kept = (keyword: string) => lines.filter((line) => new RegExp(`^\\s*${keyword}\\s`).test(line));
  return [
    ...(search.length === 0 ? kept('search') : search.includes('.') ? [] : [`search ${search.join(' ')}`]),
    ...(dns.length === 0 ? kept('nameserver') : dns.map((server) => `nameserver ${server}`)),
    ...(options.length === 0 ? kept('options') : [`options ${options.join(' ')}`]),
    '',
  ].join('\n');
}

async function readHostFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return '';
    throw error;
  }
}
