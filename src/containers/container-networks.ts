/**
 * Which networks a container is on: from what was asked at create to what its record keeps, and what a start asks of the networks. Pure but for the look-up of
 * networks, which is handed in.
 *
 * Modes: `default` and `` are the default bridge; `host`, `none` and `container:X` give no endpoints of its own; everything else names a network.
 */
import { EngineError, invalid } from '../base/errors.ts';
import type { DnsWishes, EndpointSettings, Networks, PortWishes, SandboxRequest } from '../network/networks.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import type { Container } from './container.ts';
import type { ContainerRecord, StoredEndpoint } from './container-record.ts';
import type { HostFacts } from './host-facts.ts';
import { hostnameOf } from './hostname.ts';

export const defaultNetwork = 'bridge';

export const noSettings: EndpointSettings = {
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  MacAddress: '',
  DriverOpts: null,
  GwPriority: 0,
};

/** These are found by name, whatever their id; and no aliases or addresses of one's own exist there. */
const predefined: ReadonlySet<string> = new Set([defaultNetwork, 'host', 'none']);

export function joinsContainer(mode: string): boolean {
  return mode.startsWith('container:');
}

export function isUserNetwork(mode: string): boolean {
  return !predefined.has(networkOfMode(mode)) && !joinsContainer(mode);
}

/** The network that `--network` names. */
export function networkOfMode(mode: string): string {
  return mode === '' || mode === 'default' ? defaultNetwork : mode;
}

/** What a record says about networks at creation: that of the mode first, then the others as they were asked for. */
export function storedEndpoints(
  config: Pick<ContainerConfig, 'NetworkDisabled'>,
  hostConfig: Pick<HostConfig, 'NetworkMode' | 'Links'>,
  asked: Readonly<Record<string, EndpointSettings>>,
  networks: Pick<Networks, 'inspect'>,
): readonly StoredEndpoint[] {
  const { NetworkMode: mode } = hostConfig;
  if (config.NetworkDisabled === true || joinsContainer(mode)) return [];
  const named = Object.entries(asked).map(([reference, settings]) => ({ network: nameOf(networkOfMode(reference), networks), settings }));
  refuseTwice(named);
  const main = nameOf(networkOfMode(mode), networks);
  const first = named.find(({ network }) => network === main);
  // Docker's rule: who lists other networks and leaves the mode at its default is not on the default bridge.
  const onMain = first !== undefined || named.length === 0 || isUserNetwork(mode);
  const main1 = onMain ? [{ network: main, settings: withLinks(first?.settings ?? noSettings, mode, hostConfig.Links) }] : [];
  const endpoints = [...main1, ...named.filter((endpoint) => endpoint !== first)].map((endpoint) => ({ ...endpoint, networkId: null }));
  refuseMixed(endpoints.map(({ network }) => network));
  return endpoints;
}

/** On a user network `--link` is an alias that its DNS answers; clients send it in either place. */
function withLinks(settings: EndpointSettings, mode: string, links: readonly string[] | null): EndpointSettings {
  if (!isUserNetwork(mode) || links === null || links.length === 0 || (settings.Links ?? []).length > 0) return settings;
  return { ...settings, Links: links };
}

function nameOf(reference: string, networks: Pick<Networks, 'inspect'>): string {
  return predefined.has(reference) ? reference : networks.inspect(reference).name;
}

function refuseTwice(named: readonly { readonly network: string }[]): void {
  const names = named.map(({ network }) => network);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`network "${twice}" is specified multiple times`);
}

export const sharedNetworkText =
  'container sharing network namespace with another container or host cannot be connected to any other network';
export const noNetworkText = 'container cannot be connected to multiple networks with one of the networks in private (none) mode';

export function refuseMixed(names: readonly string[]): void {
  if (names.length < 2) return;
  if (names.includes('host')) throw invalid(sharedNetworkText);
  if (names.includes('none')) throw invalid(noNetworkText);
}

/** Endpoints that the network service makes: none with `host`, `none`, another's network or without network. */
export function ownEndpoints({ config, hostConfig, networks }: Pick<ContainerRecord, 'config' | 'hostConfig' | 'networks'>) {
  const { NetworkMode: mode } = hostConfig;
  if (config.NetworkDisabled === true || joinsContainer(mode) || mode === 'host') return [];
  // Who was disconnected from everything starts again on the network of its mode.
  const all = networks.length > 0 ? networks : [{ network: networkOfMode(mode), networkId: null, settings: noSettings }];
  return all.filter(({ network }) => network !== 'none' && network !== 'host');
}

/** What a start asks for; null when the network service has nothing to do for it. */
export function sandboxRequest(
  record: Pick<ContainerRecord, 'id' | 'name' | 'config' | 'hostConfig' | 'networks'>,
  host: HostFacts,
  daemonDns: DnsWishes,
): SandboxRequest | null {
  const endpoints = ownEndpoints(record);
  if (endpoints.length === 0) return null;
  const { id, name, config, hostConfig } = record;
  return {
    containerId: id,
    containerName: name,
    hostname: hostnameOf({ id, config, hostConfig, host }),
    domainname: config.Domainname,
    endpoints: endpoints.map((endpoint) => ({ network: referenceOf(endpoint), settings: endpoint.settings })),
    ports: portWishes(config, hostConfig),
    dns: dnsWishes(hostConfig, daemonDns),
  };
}

/** A user network that was removed and made anew under its name is another one, as in Docker: once joined, its id decides. */
export function referenceOf({ network, networkId }: StoredEndpoint): string {
  return predefined.has(network) ? network : (networkId ?? network);
}

function portWishes(config: ContainerConfig, { PortBindings: bindings, PublishAllPorts: publishAll }: HostConfig): PortWishes {
  return { exposed: Object.keys(config.ExposedPorts ?? {}), bindings, publishAll };
}

/** What the container does not say is the daemon's word (`--dns` of the daemon). */
export function dnsWishes(
  { Dns, DnsSearch, DnsOptions }: Pick<HostConfig, 'Dns' | 'DnsSearch' | 'DnsOptions'>,
  daemon: DnsWishes,
): DnsWishes {
  return {
    servers: Dns.length > 0 ? Dns : daemon.servers,
    search: DnsSearch.length > 0 ? DnsSearch : daemon.search,
    options: DnsOptions.length > 0 ? DnsOptions : daemon.options,
  };
}

/** Is one of its networks this one? Once it was joined, by id; before, by name. */
export function usesNetwork(record: ContainerRecord, network: { readonly id: string; readonly name: string }): boolean {
  return record.networks.some((endpoint) => isNetwork(endpoint, network));
}

export function isNetwork(endpoint: StoredEndpoint, { id, name }: { readonly id: string; readonly name: string }): boolean {
  return endpoint.networkId === null || predefined.has(endpoint.network) ? endpoint.network === name : endpoint.networkId === id;
}

/** Docker's two texts. */
export function notConnected({ id, state }: Pick<Container, 'id' | 'state'>, network: string): EngineError {
  return new EngineError('forbidden', `container ${id} is not connected to ${state.status === 'running' ? '' : 'the '}network ${network}`);
}
