/** The default routes of a container's namespace: by which endpoint, per family. */
import { carryOut } from '../../linux/netlink/netlink-socket.ts';
import { deleteDefaultRoute, listRoutes, setDefaultRoute } from '../../linux/netlink/routes.ts';
import type { DefaultGateways } from '../net-calls.ts';
import type { EndpointLink } from './endpoint-links.ts';
import type { OpenNamespace } from './namespace-pool.ts';

/** RTN_UNICAST */
const unicastRoute = 1;

export const noGateways: DefaultGateways = { v4: null, v6: null };

/** From what is there to what is wanted; `wanted` names only endpoints of `links`. */
export function changeDefaultRoutes(
  { route }: OpenNamespace,
  links: ReadonlyMap<string, EndpointLink>,
  present: DefaultGateways,
  wanted: DefaultGateways,
): void {
  for (const family of [4, 6] as const) {
    const [before, after] = family === 4 ? [present.v4, wanted.v4] : [present.v6, wanted.v6];
    if (before === after) continue;
    const link = after === null ? undefined : links.get(after);
    const address = family === 4 ? link?.spec.v4 : link?.spec.v6;
    if (link && address) {
      carryOut(
        route,
        [setDefaultRoute({ family, index: link.innerIndex, gateway: address.gateway })],
        `set the default route of IPv${family}`,
      );
    } else {
      const [error] = route.requestAll([deleteDefaultRoute(family)], `remove the default route of IPv${family}`);
      // It went with its interface, or the container removed it.
      if (error && error.errnoName !== 'ESRCH') throw error;
    }
  }
}

/** Those that went with an interface that is not one of `links`; what the container made of the others is its own affair. */
export function completeDefaultRoutes(namespace: OpenNamespace, links: ReadonlyMap<string, EndpointLink>, wanted: DefaultGateways): void {
  const present = listRoutes(namespace.route).filter(({ prefix, type }) => prefix === 0 && type === unicastRoute);
  const has = (family: 4 | 6): boolean => present.some((route) => route.family === family);
  changeDefaultRoutes(namespace, links, { v4: has(4) ? wanted.v4 : null, v6: has(6) ? wanted.v6 : null }, wanted);
}

/** What the endpoints themselves say. */
export function gatewaysOf(links: Iterable<EndpointLink>): DefaultGateways {
  let gateways = noGateways;
  for (const { spec } of links) {
    if (spec.v4?.isDefaultGateway) gateways = { ...gateways, v4: spec.id };
    if (spec.v6?.isDefaultGateway) gateways = { ...gateways, v6: spec.id };
  }
  return gateways;
}
