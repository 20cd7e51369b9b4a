/** Wished ports, turned into what the worker is to publish, and who holds what is taken. */
import type { ContainerId } from '../base/brand.ts';
import { conflict, EngineError, invalid } from '../base/errors.ts';
import type { PlacedEndpoint } from './default-gateways.ts';
import { optionsOfBridge } from './kernel-specs.ts';
import type { DefaultGateways, PortResult, PortSpec } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import type { NetworkRecord, SandboxRecord } from './network-record.ts';
import type { NetworkSettings } from './network-settings.ts';
import { portKey, type WishedPort } from './port-wishes.ts';

/** Ports lead to the endpoints that carry the default routes, where answers leave; of drivers without a host side there is nothing to publish on. */
export interface PortTargets {
  readonly v4: PlacedEndpoint | null;
  readonly v6: PlacedEndpoint | null;
}

export function portTargets(endpoints: readonly PlacedEndpoint[], gateways: DefaultGateways): PortTargets {
  const find = (id: string | null) =>
    endpoints.find(({ endpoint, network }) => endpoint.spec.id === id && network.driver === 'bridge') ?? null;
  return { v4: find(gateways.v4), v6: find(gateways.v6) };
}

export function portSpecs(settings: NetworkSettings, wishes: readonly WishedPort[], targets: PortTargets): readonly PortSpec[] {
  const network = (targets.v4 ?? targets.v6)?.network;
  if (network === undefined) return [];
  const { hostIp, mode } = publishDefaults(settings, network);
  return wishes.map((wish) => {
    if (!settings.firewall && !settings.userlandProxy)
      throw invalid(
        `cannot publish ${portKey(wish)}: with --iptables=false and --userland-proxy=false nothing leads from the host to the container; start the daemon without one of them, or publish no port`,
      );
    if (mode === 'proxy' && wish.protocol === 'sctp')
      throw invalid(
        `cannot publish ${portKey(wish)}: sctp has no proxy, and network ${network.name} publishes by proxy (publish-mode, --iptables=false)`,
      );
    return {
      protocol: wish.protocol,
      containerPort: wish.port,
      hostIp: wish.hostIp === '' ? hostIp : wish.hostIp,
      hostPorts: wish.hostPorts,
      mode,
      target4: targets.v4?.endpoint.spec.id ?? null,
      target6: targets.v6?.endpoint.spec.id ?? null,
    };
  });
}

/** `--ip` holds for every network that says nothing itself. */
function publishDefaults(settings: NetworkSettings, network: NetworkRecord): { readonly hostIp: string; readonly mode: 'nat' | 'proxy' } {
  const options = optionsOfBridge(network);
  return {
    hostIp: options.publishAddress ?? settings.publishAddress,
    mode: settings.firewall ? (options.publishMode ?? settings.publishMode) : 'proxy',
  };
}

/** The wishes with the host ports that they got, so that they keep them when they move to another endpoint. */
export function pinned({ wishes, ports, published }: SandboxRecord): readonly WishedPort[] {
  const used = new Set<string>();
  return wishes.map((wish, index) => {
    const spec = ports[index];
    const result =
      spec === undefined ? undefined : published.find((port) => isOf(port, spec) && !used.has(`${port.protocol} ${port.hostPort}`));
    if (result === undefined) return wish;
    used.add(`${result.protocol} ${result.hostPort}`);
    return { ...wish, hostPorts: [result.hostPort, result.hostPort] };
  });
}

/** A result belongs to the wish with its port and an address that covers it. */
export function isOf(result: PortResult, spec: PortSpec): boolean {
  return (
    result.protocol === spec.protocol &&
    result.containerPort === spec.containerPort &&
    (spec.hostIp === '' ? isEverywhere(result.hostIp) : result.hostIp === spec.hostIp) &&
    (spec.hostPorts[1] === 0 || (result.hostPort >= spec.hostPorts[0] && result.hostPort <= spec.hostPorts[1]))
  );
}

export function isEverywhere(hostIp: string): boolean {
  return hostIp === '0.0.0.0' || hostIp === '::';
}

/** The worker knows that a port is taken; we know by whom, when it is a container of ours. */
export function withPortHolder(thrown: unknown, context: NetworkContext, endpoint: string, specs: readonly PortSpec[]): unknown {
  if (!(thrown instanceof EngineError) || thrown.code !== 'conflict') return thrown;
  for (const spec of specs) {
    const holder = portHolder(context, spec);
    if (holder !== null) return portConflict(endpoint, spec, holder, thrown);
  }
  return conflict(`driver failed programming external connectivity on endpoint ${endpoint}: ${thrown.message}`, { cause: thrown });
}

/** Before anything is made: what is surely taken. */
export function refuseTakenPorts(
  context: NetworkContext,
  endpoint: string,
  specs: readonly PortSpec[],
  except: ContainerId | null = null,
): void {
  for (const spec of specs) {
    const holder = portHolder(context, spec, except);
    if (holder !== null) throw portConflict(endpoint, spec, holder);
  }
}

function portConflict(endpoint: string, spec: PortSpec, holder: string, cause?: unknown): EngineError {
  const address = spec.hostIp === '' ? '0.0.0.0' : spec.hostIp.includes(':') ? `[${spec.hostIp}]` : spec.hostIp;
  const port = `${address}:${spec.hostPorts[0]}`;
  return conflict(
    `driver failed programming external connectivity on endpoint ${endpoint}: Bind for ${port} failed: port is already allocated by container ${holder}`,
    { cause, details: { hostIp: spec.hostIp, hostPort: spec.hostPorts[0], protocol: spec.protocol, holder } },
  );
}

/** Only of a wish for one port: of a range the worker takes another. */
function portHolder({ sandboxes }: NetworkContext, spec: PortSpec, except: ContainerId | null = null): string | null {
  const [first, last] = spec.hostPorts;
  if (first === 0 || first !== last) return null;
  for (const [id, { record }] of sandboxes) {
    if (id === except) continue;
    const holds = record.published.some(
      (other) => other.protocol === spec.protocol && other.hostPort === first && addressesMeet(other.hostIp, spec.hostIp),
    );
    if (holds) return record.containerName;
  }
  return null;
}

function addressesMeet(taken: string, wanted: string): boolean {
  if (wanted === '' || taken === wanted) return true;
  const sameFamily = taken.includes(':') === wanted.includes(':');
  return sameFamily && (isEverywhere(taken) || isEverywhere(wanted));
}
