/**
 * `--link NAME:ALIAS` on the default bridge, which has no DNS: a line in /etc/hosts and variables about the other's ports, as Docker's. (On user networks a link
 * is a name that their DNS answers; `container-networks.ts` hands those on.) Pure, but for the look-up of containers, which is handed in.
 */

import type { ContainerId } from '../base/brand.ts';
import { conflict, invalid } from '../base/errors.ts';
import type { EndpointState } from '../network/networks.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { defaultNetwork, joinsContainer, networkOfMode } from './container-networks.ts';
import type { StoredLink } from './container-record.ts';

/** What a link says about the container that it leads to. */
export interface LinkTarget {
  readonly id: ContainerId;
  readonly name: string;
  readonly config: Pick<ContainerConfig, 'Hostname' | 'Env' | 'ExposedPorts'>;
  readonly hostConfig: Pick<HostConfig, 'NetworkMode'>;
}

export interface LinkedEndpoint {
  readonly alias: string;
  readonly target: LinkTarget;
  /** On the default bridge. */
  readonly endpoint: Pick<EndpointState, 'ipv4' | 'ipv6'>;
}

/** At creation: every named container must exist. */
export function resolveLinks(hostConfig: HostConfig, find: (reference: string) => LinkTarget | null): readonly StoredLink[] {
  const links = (hostConfig.Links ?? []).map(parseLink);
  if (networkOfMode(hostConfig.NetworkMode) !== defaultNetwork) return [];
  return links.map(({ name, alias }) => {
    const target = followShared(find(name), find);
    if (target === null) throw invalid(`could not get container for ${name}: No such container: ${name}`);
    if (target.hostConfig.NetworkMode === 'host') {
      throw invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior");
    }
    return { containerId: target.id, alias };
  });
}

/** Who shares another's network is reached there. */
function followShared(target: LinkTarget | null, find: (reference: string) => LinkTarget | null): LinkTarget | null {
  let found = target;
  // A chain of containers cannot be circular: each was there before the next.
  while (found !== null && joinsContainer(found.hostConfig.NetworkMode))
    found = find(found.hostConfig.NetworkMode.slice('container:'.length));
  return found;
}

/** `name:alias` or `name`; inspect's form `/name:/parent/alias` too, which clients send back. */
export function parseLink(link: string): { readonly name: string; readonly alias: string } {
  const [name = '', alias = name, ...more] = link.split(':');
  if (name === '' || alias === '' || more.length > 0) throw invalid(`bad format for links: ${link}`);
  if (!name.startsWith('/')) return { name, alias };
  return { name: name.slice(1), alias: alias.slice(alias.lastIndexOf('/') + 1) };
}

export function notRunning(parent: string, target: LinkTarget, alias: string) {
  return conflict(`Cannot link to a non running container: /${target.name} AS /${parent}/${alias}`);
}

/** Names in the order of Docker's line: alias, hostname, and the name where the alias is another. */
export function linkNames({ alias, target }: LinkedEndpoint): readonly string[] {
  return [alias, target.config.Hostname, ...(alias === target.name ? [] : [target.name])];
}

/** As Docker's: first where it is, then each port, then what it is called, then its own environment. */
export function linkVariables(parent: string, { alias, target, endpoint }: LinkedEndpoint): readonly string[] {
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const ports = sortedPorts(Object.keys(target.config.ExposedPorts ?? {}));
  const [first] = ports;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${first.protocol}://${endpoint.ipv4}:${first.number}`]),
    ...ports.flatMap((port) => portVariables(`${prefix}_PORT_${port.number}_${port.protocol.toUpperCase()}`, endpoint.ipv4, port)),
    `${prefix}_NAME=/${parent}/${alias}`,
    ...ownVariables(prefix, target.config.Env),
  ];
}

interface Port {
  readonly number: number;
  readonly protocol: string;
}

/** By number; tcp before udp. */
function sortedPorts(keys: readonly string[]): readonly Port[] {
  const ports = keys.map((key) => ({ number: Number.parseInt(key, 10), protocol: key.split('/')[1] ?? 'tcp' }));
  return ports.sort((a, b) => a.number - b.number || a.protocol.localeCompare(b.protocol));
}

function portVariables(name: string, address: string, { number, protocol }: Port): readonly string[] {
  return [`${name}=${protocol}://${address}:${number}`, `${name}_ADDR=${address}`, `${name}_PORT=${number}`, `${name}_PROTO=${protocol}`];
}

/** HOME and PATH of the other are of no use here. */
function ownVariables(prefix: string, env: readonly string[]): readonly string[] {
  return env.flatMap((entry) => {
    const equals = entry.indexOf('=');
    if (equals <= 0 || ['HOME', 'PATH'].includes(entry.slice(0, equals))) return [];
    return [`${prefix}_ENV_${entry}`];
  });
}
