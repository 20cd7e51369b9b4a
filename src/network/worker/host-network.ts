/**
 * What every part of the net worker works with: the netlink sockets in the host's network namespace, what the kernel can do, the settings, the log;
 * and how our links are marked, so that a later daemon knows them: `<global name> <role> <id>` is their alias.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { EngineError, errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { canMakeLink, readLink } from '../../linux/netlink/links.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE, type NetlinkSocket, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../linux/network-namespace.ts';
import type { NetSettings } from '../net-calls.ts';

export interface HostNetwork {
  readonly settings: NetSettings;
  readonly log: Logger;
  /** The kernel has IPv6. */
  readonly ipv6: boolean;
  readonly drivers: LinkDrivers;
  readonly route: NetlinkSocket;
  /** For connection tracking. */
  readonly netfilter: NetlinkSocket;
  close(): void;
}

export interface LinkDrivers {
  readonly bridge: boolean;
  readonly macvlan: boolean;
  readonly ipvlan: boolean;
  readonly vlan: boolean;
  readonly dummy: boolean;
}

export type LinkRole = 'network' | 'endpoint' | 'parent' | 'pool';

export function openHostNetwork(settings: NetSettings, log: Logger): HostNetwork {
  const drivers = probeDrivers();
  const route = openNetlink(NETLINK_ROUTE);
  let netfilter: NetlinkSocket;
  try {
    netfilter = openNetlink(NETLINK_NETFILTER);
  } catch (thrown) {
    route.close();
    throw thrown;
  }
  return {
    settings,
    log,
    ipv6: existsSync('/proc/sys/net/ipv6'),
    drivers,
    route,
    netfilter,
    close() {
      route.close();
      netfilter.close();
    },
  };
}

export function linkAlias(settings: NetSettings, role: LinkRole, id = ''): string {
  return `${settings.globalName} ${role} ${id}`;
}

/** Null: not one of ours. */
export function ownerOfLink(settings: NetSettings, alias: string): { readonly role: string; readonly id: string } | null {
  const [name, role = '', id = ''] = alias.split(' ');
  return name === settings.globalName ? { role, id } : null;
}

/** In the network namespace that the thread is in. */
export function writeInterfaceSysctl(family: 'ipv4' | 'ipv6', interfaceName: string, key: string, value: string): void {
  const path = `/proc/sys/net/${family}/conf/${interfaceName}/${key}`;
  try {
    writeFileSync(path, value);
  } catch (thrown) {
    throw new EngineError('system', `cannot set net.${family}.conf.${interfaceName}.${key} to ${value}: ${errorText(thrown)}`, {
      cause: thrown,
    });
  }
}

/**
 * Made and thrown away in a namespace of their own: there they disappear without anybody waiting for them. macvlan and the like need something to lie on,
 * and lo takes none.
 */
function probeDrivers(): LinkDrivers {
  const namespace = createNetworkNamespace();
  try {
    const socket = inNetworkNamespace(namespace, () => openNetlink(NETLINK_ROUTE));
    try {
      const bridge = canMakeLink(socket, { kind: 'bridge' }, 'bridge');
      const dummy = canMakeLink(socket, { kind: 'dummy' }, 'dummy');
      const on = readLink(socket, bridge ? 'bridge' : 'dummy');
      if (on === null) return { bridge, dummy, macvlan: false, ipvlan: false, vlan: false };
      const parent = on.index;
      return {
        bridge,
        dummy,
        vlan: canMakeLink(socket, { kind: 'vlan', parent, id: 1 }, 'vlan'),
        macvlan: canMakeLink(socket, { kind: 'macvlan', parent, mode: 'bridge' }, 'macvlan'),
        ipvlan: canMakeLink(socket, { kind: 'ipvlan', parent, mode: 'l2', flag: 'bridge' }, 'ipvlan'),
      };
    } finally {
      socket.close();
    }
  } finally {
    closeDescriptor(namespace);
  }
}
