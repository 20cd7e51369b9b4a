/**
 * What macvlan and ipvlan networks lie on: an interface of the host; a VLAN of one (`eth0.10`), made when it does not exist; or, without any, an isolated
 * dummy of the network's own (a bridge without ports, where the kernel has no dummy). What we made goes with the last network that uses it.
 */
import { EngineError, invalid, notImplemented } from '../../base/errors.ts';
import { changeLink, deleteLink, type LinkKind, newLink, readLink } from '../../linux/netlink/links.ts';
import { carryOut } from '../../linux/netlink/netlink-socket.ts';
import type { ParentSpec } from '../net-calls.ts';
import { type HostNetwork, linkAlias, ownerOfLink } from './host-network.ts';

export interface Parents {
  ensure(spec: ParentSpec): void;
  remove(networkId: string): void;
  removeAll(): void;
  /** Index of the interface that endpoints of the network lie on. */
  indexOf(networkId: string, parent: string): number;
  /** Whether a link of ours is still of use. */
  uses(name: string): boolean;
}

export function openParents(host: HostNetwork): Parents {
  const names = new Map<string, string>();

  function remove(networkId: string): void {
    const name = names.get(networkId);
    if (name === undefined) return;
    names.delete(networkId);
    if ([...names.values()].includes(name)) return;
    const link = readLink(host.route, name);
    if (link === null || ownerOfLink(host.settings, link.alias)?.role !== 'parent') return;
    const [error] = host.route.requestAll([deleteLink(link.index)], `delete interface ${name}`);
    if (error && error.errnoName !== 'ENODEV') throw error;
  }

  return {
    ensure(spec) {
      refuseMissingDriver(host, spec.driver);
      const name = parentName(spec);
      if (readLink(host.route, name) === null) makeParent(host, spec, name);
      names.set(spec.networkId, name);
    },
    remove,
    removeAll() {
      for (const networkId of [...names.keys()]) remove(networkId);
    },
    indexOf(networkId, parent) {
      const name = names.get(networkId) ?? parent;
      const link = name === '' ? null : readLink(host.route, name);
      if (link === null) throw new EngineError('system', `the parent interface ${name} of network ${networkId} is gone`);
      return link.index;
    },
    uses: (name) => [...names.values()].includes(name),
  };
}

function refuseMissingDriver(host: HostNetwork, driver: ParentSpec['driver']): void {
  if (!host.drivers[driver])
    throw notImplemented(`the ${driver} driver is not supported: this kernel has no ${driver} interfaces (module "${driver}")`);
}

function parentName({ networkId, parent }: ParentSpec): string {
  return parent === '' ? `gd-${networkId.slice(0, 12)}` : parent;
}

function makeParent(host: HostNetwork, spec: ParentSpec, name: string): void {
  const kind = spec.parent === '' ? isolatedKind(host, spec) : vlanKind(host, spec.parent);
  carryOut(
    host.route,
    [newLink(kind, { name, up: true }), changeLink(name, { alias: linkAlias(host.settings, 'parent', spec.networkId) })],
    `make interface ${name}`,
  );
}

function isolatedKind({ drivers }: HostNetwork, { driver }: ParentSpec): LinkKind {
  if (drivers.dummy) return { kind: 'dummy' };
  if (drivers.bridge) return { kind: 'bridge' };
  throw notImplemented(
    `a ${driver} network without a parent is not supported: this kernel has neither dummy nor bridge interfaces; use -o parent=INTERFACE`,
  );
}

/** `eth0.10`: VLAN 10 of eth0. */
function vlanKind(host: HostNetwork, parent: string): LinkKind {
  const dot = parent.lastIndexOf('.');
  const base = dot === -1 ? null : readLink(host.route, parent.slice(0, dot));
  const id = Number(parent.slice(dot + 1));
  if (dot === -1 || !/^\d{1,4}$/.test(parent.slice(dot + 1)))
    throw invalid(`the requested parent interface ${parent} was not found on this host`);
  if (base === null) throw invalid(`cannot make ${parent}: there is no interface ${parent.slice(0, dot)} on this host`);
  if (id < 1 || id > 4094) throw invalid(`cannot make ${parent}: a VLAN id lies between 1 and 4094`);
  if (!host.drivers.vlan) throw notImplemented(`cannot make ${parent}: this kernel has no VLAN interfaces (module "8021q")`);
  return { kind: 'vlan', parent: base.index, id };
}
