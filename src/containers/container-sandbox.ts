/**
 * A container and its network over one run:
 *
 *   joinNetworks ──▶ namespace, addresses, ports and DNS are there, and the files that tell of them ──▶ the process starts in it
 *      connect, disconnect, ports (change-networks.ts): what the monitor keeps and the hosts file follow
 *   leaveNetworks ──▶ addresses and ports are free
 *
 * The monitor keeps the sockets for the daemon, so it lets go of them first: a port is only free when nobody holds it.
 */
import { errorText } from '../base/errors.ts';
import { refuseNetDevices } from '../network/net-devices.ts';
import type { NetDevice, Sandbox } from '../network/networks.ts';
import type { RunningContainer } from '../runtime/runtime.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { defaultNetwork, dnsWishes, sandboxRequest } from './container-networks.ts';
import { hostnameOf } from './hostname.ts';
import { type LinkedEndpoint, linkNames, linkVariables, notRunning } from './links.ts';
import { hasIpv6Loopback, type NetworkFacts, updateNetworkFiles, writeNetworkFiles } from './network-files.ts';

/** Before a start. Null: the container has no network that is its own and managed. */
export async function joinNetworks(context: ContainerContext, container: Container): Promise<Sandbox | null> {
  const request = sandboxRequest(container.record, context.host, context.daemonDns);
  const sandbox = request === null ? null : await context.networks.attach(request);
  if (sandbox !== null) rememberNetworks(container, sandbox);
  await writeNetworkFiles(container.paths, networkFacts(context, container, sandbox));
  return sandbox;
}

/** Interfaces of the host that descriptions of devices give to it; `leaveNetworks` brings them back. */
export async function lendInterfaces(
  context: ContainerContext,
  { id, hostConfig }: Container,
  devices: readonly NetDevice[],
): Promise<void> {
  if (devices.length === 0) return;
  if (context.networks.sandbox(id) === null) refuseNetDevices(hostConfig.NetworkMode, devices);
  await context.networks.lendDevices(id, devices);
}

/** The ids of what was joined, and what it joined for want of anything else. The record is stored with the start. */
function rememberNetworks(container: Container, sandbox: Sandbox): void {
  const { networks: stored } = container.record;
  const names = new Set([...stored.map(({ network }) => network), ...Object.keys(sandbox.endpoints)]);
  const networks = [...names].flatMap((network) => {
    const known = stored.find((endpoint) => endpoint.network === network);
    const state = sandbox.endpoints[network];
    if (state === undefined) return known ?? [];
    return { network, networkId: state.networkId, settings: known?.settings ?? state.settings };
  });
  container.change({ networks });
}

/** Never fails: the container has ended, whatever the network says. */
export async function leaveNetworks(context: ContainerContext, container: Container, process: RunningContainer | null): Promise<void> {
  try {
    if (context.networks.sandbox(container.id) !== null) await process?.keep([]);
  } catch {
    // The monitor is gone, and with it what it kept.
  }
  try {
    await context.networks.detach(container.id);
  } catch (error) {
    context.logger.error({ container: container.id, error: errorText(error) }, 'cannot take a container off its networks');
  }
}

/** For the next daemon. It runs on without; only then its DNS would have to be made anew, and its ports could be taken by others. */
export async function keepForDaemon(context: ContainerContext, container: Container, process: RunningContainer, sandbox: Sandbox) {
  try {
    await process.keep(sandbox.keep);
  } catch (error) {
    context.logger.warn(
      { container: container.id, error: errorText(error) },
      "the monitor cannot keep a container's sockets: published ports and DNS may pause when the daemon restarts",
    );
  }
}

/** What /etc/hosts and /etc/resolv.conf are made of. */
export function networkFacts(context: ContainerContext, container: Container, sandbox: Sandbox | null): NetworkFacts {
  const { id, config, hostConfig, record } = container;
  return {
    mode: hostConfig.NetworkMode,
    hostname: hostnameOf({ id, config, hostConfig, host: context.host }),
    domainname: config.Domainname,
    addresses:
      sandbox === null
        ? []
        : addressesOf(
            sandbox,
            record.networks.map(({ network }) => network),
          ),
    ipv6: hasIpv6Loopback(hostConfig.Sysctls ?? null),
    extraHosts: hostConfig.ExtraHosts ?? [],
    hostGateway: context.networks.hostGateway,
    links: linkedEndpoints(context, container).flatMap(linkLines),
    resolver: sandbox?.resolver ?? { kind: 'host' },
    dns: dnsWishes(hostConfig, context.daemonDns),
  };
}

/** In the order in which the networks were joined. */
function addressesOf(sandbox: Sandbox, order: readonly string[]): readonly string[] {
  const names = Object.keys(sandbox.endpoints).toSorted((a, b) => order.indexOf(a) - order.indexOf(b));
  return names.flatMap((name) => {
    const endpoint = sandbox.endpoints[name];
    return endpoint === undefined ? [] : [endpoint.ipv4, endpoint.ipv6].filter((address) => address !== '');
  });
}

function linkLines(link: LinkedEndpoint): readonly { readonly address: string; readonly names: readonly string[] }[] {
  const names = linkNames(link);
  return [link.endpoint.ipv4, link.endpoint.ipv6].filter((address) => address !== '').map((address) => ({ address, names }));
}

/** Containers that links lead to and that run on the default bridge now. */
function linkedEndpoints(context: ContainerContext, container: Container): readonly LinkedEndpoint[] {
  return container.record.links.flatMap(({ containerId, alias }) => {
    const target = context.registry.get(containerId);
    const endpoint = context.networks.sandbox(containerId)?.endpoints[defaultNetwork];
    return target === undefined || endpoint === undefined ? [] : [{ alias, target, endpoint }];
  });
}

/** Docker's rule for a start: what a link leads to must run. One that was removed is no link any more. */
export function requireLinks(context: ContainerContext, container: Container): void {
  for (const { containerId, alias } of container.record.links) {
    const target = context.registry.get(containerId);
    if (target !== undefined && target.state.status !== 'running') throw notRunning(container.name, target, alias);
  }
}

export function linkVariablesOf(context: ContainerContext, container: Container): readonly string[] {
  return linkedEndpoints(context, container).flatMap((link) => linkVariables(container.name, link));
}

/** A container that others link to may have another address now. */
export async function tellLinked(context: ContainerContext, started: Container): Promise<void> {
  const parents = context.registry
    .all()
    .filter(({ state, record }) => state.status === 'running' && record.links.some(({ containerId }) => containerId === started.id));
  await Promise.all(parents.map((parent) => updateFiles(context, parent)));
}

export async function updateFiles(context: ContainerContext, container: Container): Promise<void> {
  try {
    await updateNetworkFiles(container.paths, networkFacts(context, container, context.networks.sandbox(container.id)));
  } catch (error) {
    context.logger.error({ container: container.id, error: errorText(error) }, "cannot write a container's network files");
  }
}
