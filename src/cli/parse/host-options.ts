/** Options of a container's host side, each checked as Docker's client checks it: DNS, extra hosts, links, sysctls, labels, capabilities. */
import { isIP } from 'node:net';

/** An address, without the blanks around it. */
export function parseDnsServer(text: string): string {
  const address = text.trim();
  if (isIP(address) === 0 || address.includes('%')) throw new Error(`IP address is not correctly formatted: ${text}`);
  return address;
}

/** Servers that a container on a network of its own cannot reach. */
export function isLocalhostDns(address: string): boolean {
  return /^127\.|^::1$/.test(address);
}

const DOMAIN_LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = new RegExp(`^${DOMAIN_LABEL}(?:\\.${DOMAIN_LABEL})*\\.?$`);

/** A domain, or `.` for none. */
export function parseSearchDomain(text: string): string {
  const domain = text.trim();
  if (domain === '.') return domain;
  if (!/[a-zA-Z]/.test(domain) || !DOMAIN.test(domain) || domain.length > 255) throw new Error(`${text} is not a valid domain`);
  return domain;
}

/** `host:ip` or `host=ip`; sent with a colon. */
export function parseExtraHost(text: string): string {
  const separator = /[=:]/.exec(text);
  const host = separator === null ? '' : text.slice(0, separator.index);
  const address = separator === null ? '' : text.slice(separator.index + 1);
  if (host === '' || address === '') throw new Error(`bad format for add-host: "${text}"`);
  const bare = address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
  if (bare !== 'host-gateway' && (isIP(bare) === 0 || bare.includes('%'))) throw new Error(`invalid IP address in add-host: "${address}"`);
  return `${host}:${bare}`;
}

export function parseLink(text: string): string {
  const parts = text.split(':');
  if (text === '') throw new Error('empty string specified for links');
  if (parts.length > 2) throw new Error(`bad format for links: ${text}`);
  return text;
}

/** Those that have a namespace of their own; the rest would change the host. */
const SYSCTLS = /^(?:kernel\.(?:msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|net\..*|fs\.mqueue\..*)$/;

export function parseSysctl(text: string): string {
  const equals = text.indexOf('=');
  if (equals === -1 || equals === text.length - 1 || !SYSCTLS.test(text.slice(0, equals)))
    throw new Error(`sysctl '${text}' is not allowed`);
  return text;
}

export function parseLabel(text: string): string {
  const name = (text.split('=', 1)[0] ?? '').trimStart();
  if (name === '') throw new Error(`invalid label '${text}': empty name`);
  if (/\s/.test(name)) throw new Error(`label '${name}' contains whitespaces`);
  return text;
}

/** `net_admin` and `CAP_NET_ADMIN` are one; sorted, each once. */
export function capabilityNames(given: readonly string[]): readonly string[] {
  const normalize = (name: string): string => {
    const upper = name.trim().toUpperCase();
    return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  };
  return [...new Set(given.map(normalize))].sort();
}
