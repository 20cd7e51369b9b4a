/** What the embedded resolver answers for one container. */
import { invalid } from '../base/errors.ts';
import { byPriority, type PlacedEndpoint } from './default-gateways.ts';
import { needsEmbeddedResolver, readHostResolvConf, readResolvConf } from './dns/resolv-conf.ts';
import type { DnsSpec } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import type { DnsWishes, EndpointSettings } from './networks.ts';

/** What the container does not say itself is the daemon's. */
export function completeDns(wishes: DnsWishes, daemon: DnsWishes): DnsWishes {
  const either = (own: readonly string[], otherwise: readonly string[]) => (own.length > 0 ? own : otherwise);
  return {
    servers: either(wishes.servers, daemon.servers),
    search: either(wishes.search, daemon.search),
    options: either(wishes.options, daemon.options),
  };
}

/** Null: the container asks the servers itself, as on Docker's default bridge. */
export async function dnsSpec(context: NetworkContext, endpoints: readonly PlacedEndpoint[], wishes: DnsWishes): Promise<DnsSpec | null> {
  const named = byPriority(endpoints).filter(({ network }) => !network.predefined);
  if (named.length === 0 && (wishes.servers.length > 0 || !(await hostServersAreOutOfReach(context, endpoints)))) return null;
  return {
    networks: named.map(({ network }) => ({ id: network.id, name: network.name })),
    links: Object.fromEntries(endpoints.flatMap(({ endpoint }) => linksOf(context, endpoint.state.settings))),
    servers: wishes.servers,
    forward: endpoints.some(({ network }) => !network.internal),
    options: wishes.options,
  };
}

async function hostServersAreOutOfReach({ resolvConf }: NetworkContext, endpoints: readonly PlacedEndpoint[]): Promise<boolean> {
  const text = resolvConf === '/etc/resolv.conf' ? await readHostResolvConf() : await readResolvConf(resolvConf);
  return needsEmbeddedResolver(
    text,
    endpoints.some(({ endpoint }) => endpoint.spec.v6 !== null),
  );
}

/** `name:alias`; the name alone is its own alias. A container that does not run yet is found too: its address is looked up when somebody asks. */
export function linksOf(context: NetworkContext, { Links }: EndpointSettings): readonly (readonly [string, string])[] {
  return (Links ?? []).map((link) => {
    const [reference = '', alias = reference, ...more] = link.split(':');
    if (reference === '' || alias === '' || more.length > 0)
      throw invalid(`invalid link ${JSON.stringify(link)}: write NAME or NAME:ALIAS`);
    const target = context.findContainer(reference);
    if (target === null) throw invalid(`could not get container for ${reference}: it is linked as ${alias}`);
    return [alias, target] as const;
  });
}
