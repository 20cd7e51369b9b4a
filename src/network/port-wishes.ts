/** Ports as Docker writes them, read and checked. Pure. */
import { invalid } from '../base/errors.ts';
import { formatAddress, parseAddress } from './ip-address.ts';
import type { PortSpec } from './net-calls.ts';
import type { PortWishes } from './networks.ts';

export interface ContainerPort {
  readonly port: number;
  readonly protocol: PortSpec['protocol'];
}

export interface WishedPort extends ContainerPort {
  /** Canonical; '': none was named. */
  readonly hostIp: string;
  /** Inclusive; both 0: any. */
  readonly hostPorts: readonly [number, number];
}

export function portKey({ port, protocol }: ContainerPort): string {
  return `${port}/${protocol}`;
}

/** `80`, `80/udp`, `8000-8010/tcp` (as an image may expose them). */
export function parseContainerPorts(text: string): readonly ContainerPort[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || first < 1 || last > 65_535 || first > last)
    throw invalid(`invalid port specification: ${JSON.stringify(text)}: a container port is 1 to 65535, with /tcp, /udp or /sctp`);
  const protocol = (match[3]?.toLowerCase() ?? 'tcp') as PortSpec['protocol'];
  return Array.from({ length: last - first + 1 }, (_, index) => ({ port: first + index, protocol }));
}

export function exposedKeys(wishes: PortWishes): readonly string[] {
  const keys = [...wishes.exposed, ...Object.keys(wishes.bindings)].flatMap(parseContainerPorts).map(portKey);
  return [...new Set(keys)];
}

export function wishedPorts(wishes: PortWishes): readonly WishedPort[] {
  const named = Object.entries(wishes.bindings).flatMap(([key, bindings]) =>
    parseContainerPorts(key).flatMap((containerPort) => bindingsOf(containerPort, bindings, key)),
  );
  if (!wishes.publishAll) return unique(named);
  const bound = new Set(named.map(portKey));
  const others = wishes.exposed.flatMap(parseContainerPorts).filter((port) => !bound.has(portKey(port)));
  return unique([...named, ...others.map((port): WishedPort => ({ ...port, hostIp: '', hostPorts: [0, 0] }))]);
}

/** An empty list is one binding to any port. */
function bindingsOf(
  containerPort: ContainerPort,
  bindings: readonly { readonly HostIp: string; readonly HostPort: string }[],
  key: string,
): readonly WishedPort[] {
  const given = bindings.length === 0 ? [{ HostIp: '', HostPort: '' }] : bindings;
  return given.map(({ HostIp, HostPort }) => ({ ...containerPort, hostIp: hostAddress(HostIp, key), hostPorts: hostPorts(HostPort, key) }));
}

function hostAddress(text: string, key: string): string {
  if (text === '') return '';
  const address = parseAddress(text.replace(/^\[(.*)\]$/, '$1'));
  if (address === null) throw invalid(`invalid IP address: ${text}: port ${key} cannot be published on it`);
  return formatAddress(address);
}

function hostPorts(text: string, key: string): readonly [number, number] {
  if (text === '') return [0, 0];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || first > last || last > 65_535 || (first === 0 && last !== 0))
    throw invalid(`invalid port specification: ${JSON.stringify(text)}: the host port of ${key} is 0 to 65535, or a range of them`);
  return [first, last];
}

/** The same said twice is one wish, but every wish for any port is its own. */
function unique(ports: readonly WishedPort[]): readonly WishedPort[] {
  const seen = new Set<string>();
  return ports.filter((wish) => {
    const key = `${portKey(wish)} ${wish.hostIp} ${wish.hostPorts.join('-')}`;
    if (wish.hostPorts[1] === 0 || !seen.has(key)) {
      seen.add(key);
      return true;
    }
    return false;
  });
}
