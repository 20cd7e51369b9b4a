/**
 * Interfaces of the host that a container has while it runs (`netDevices` of CDI and OCI): moved into its namespace under another name, with their addresses, and back.
 *
 *   host eth1, 192.0.2.7/24 ──lend──▶ namespace rdma0, 192.0.2.7/24, up ──return──▶ host eth1, 192.0.2.7/24, as it was
 *
 * When the last process ends while no daemon is there, the namespace is gone and the kernel itself has taken cards back, down and under the container's name (virtual
 * interfaces it has deleted): `reclaimDevices` puts those right.
 */
import { conflict, EngineError, errorText, invalid, notFound } from '../../base/errors.ts';
import { addAddress, type InterfaceAddress, listAddresses, scopeGlobal } from '../../linux/netlink/addresses.ts';
import { changeLink, type Link, readLink } from '../../linux/netlink/links.ts';
import { carryOut, NETLINK_ROUTE, type NetlinkSocket, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { homeNamespace, inNetworkNamespace } from '../../linux/network-namespace.ts';
import type { LentDevice, NetDeviceWish } from '../net-calls.ts';
import { allOrNothing, attempt } from './all-or-nothing.ts';
import { type HostNetwork, ownerOfLink } from './host-network.ts';
import type { NetParts, Sandbox } from './net-parts.ts';

export async function lendDevices({ host }: NetParts, sandbox: Sandbox, wishes: readonly NetDeviceWish[]): Promise<readonly LentDevice[]> {
  const route = openRoute(sandbox.fd);
  try {
    return await allOrNothing(host.log, (undo) => {
      const lent: LentDevice[] = [];
      for (const wish of wishes) {
        const link = requireLendable(host, wish);
        requireFreeName(route, wish);
        const addresses = globalAddresses(host.route, link.index);
        const before = { ...wish, index: 0, up: link.up, master: link.master, addresses };
        undo('giving a network interface back to the host', () => returnDevice(host, route, before));
        const what = `move the network interface ${wish.hostInterfaceName} into the container`;
        carryOut(host.route, [changeLink(link.index, { namespace: sandbox.fd, name: wish.name })], what);
        const moved = readLink(route, wish.name);
        if (moved === null) throw new EngineError('system', `the network interface ${wish.hostInterfaceName} went away while it was moved`);
        carryOut(
          route,
          [changeLink(moved.index, { up: true }), ...addresses.map((address) => addAddress({ ...address, index: moved.index }))],
          what,
        );
        lent.push({ ...before, index: moved.index });
      }
      sandbox.lent = [...sandbox.lent, ...lent];
      return lent;
    });
  } finally {
    route.close();
  }
}

/** Each; what fails is logged. */
export function returnDevices({ host }: NetParts, sandbox: Sandbox): void {
  if (sandbox.lent.length === 0) return;
  const route = openRoute(sandbox.fd);
  for (const lent of sandbox.lent)
    attempt(host.log, `giving the network interface ${lent.hostInterfaceName} back to the host`, () => returnDevice(host, route, lent));
  sandbox.lent = [];
  route.close();
}

/** Of containers whose namespace is gone. */
export function reclaimDevices({ host }: NetParts, devices: readonly LentDevice[]): void {
  for (const lent of devices) {
    attempt(host.log, `giving the network interface ${lent.hostInterfaceName} its name back`, () => {
      if (readLink(host.route, lent.hostInterfaceName) !== null) return;
      const link = lent.index === 0 ? readLink(host.route, lent.name) : readLink(host.route, lent.index);
      // `dev7`: the kernel's, when the name was taken.
      if (link === null || (link.name !== lent.name && !/^dev\d+$/.test(link.name))) {
        host.log.warn(
          { interface: lent.hostInterfaceName },
          'a network interface that a container had is gone: the kernel deletes virtual ones with their namespace',
        );
        return;
      }
      carryOut(
        host.route,
        [changeLink(link.index, { up: false }), changeLink(link.index, { name: lent.hostInterfaceName })],
        `rename ${link.name}`,
      );
      settle(host, lent);
    });
  }
}

function openRoute(namespace: number): NetlinkSocket {
  return inNetworkNamespace(namespace, () => openNetlink(NETLINK_ROUTE));
}

function requireLendable({ route, settings }: HostNetwork, { hostInterfaceName, name }: NetDeviceWish): Link {
  for (const text of [hostInterfaceName, name])
    if (!/^(?!\.{1,2}$)[^\s/:]{1,15}$/.test(text)) throw invalid(`"${text}" cannot be the name of a network interface`);
  const link = readLink(route, hostInterfaceName);
  if (link === null)
    throw notFound(
      `there is no network interface "${hostInterfaceName}" on this host, which a description of a device (netDevices) gives to the container`,
    );
  const why =
    link.name === 'lo' ? 'the loopback device cannot be moved' : ownerOfLink(settings, link.alias) === null ? null : 'it is one of our own';
  if (why !== null) throw conflict(`cannot move the network interface "${hostInterfaceName}" into the container: ${why}`);
  return link;
}

function requireFreeName(route: NetlinkSocket, { hostInterfaceName, name }: NetDeviceWish): void {
  if (readLink(route, name) === null) return;
  throw conflict(
    `cannot move the network interface "${hostInterfaceName}" into the container as "${name}": the container has an interface of that name`,
  );
}

function globalAddresses(route: NetlinkSocket, index: number): readonly InterfaceAddress[] {
  return listAddresses(route, index).filter((address) => address.index === index && address.scope === scopeGlobal);
}

/** By its number: inside it may have been renamed. Without one by its name, which was nobody else's when it was about to be moved. */
function returnDevice(host: HostNetwork, route: NetlinkSocket, lent: LentDevice): void {
  const link = readLink(route, lent.index === 0 ? lent.name : lent.index);
  if (link === null) {
    // Never moved, or deleted inside.
    if (readLink(host.route, lent.hostInterfaceName) === null)
      host.log.warn({ interface: lent.hostInterfaceName }, 'a network interface of the host was deleted inside the container that had it');
    return;
  }
  const move = (name: string) =>
    carryOut(route, [changeLink(link.index, { namespace: homeNamespace(), name })], `move ${link.name} back to the host`);
  if (readLink(host.route, lent.hostInterfaceName) === null) move(lent.hostInterfaceName);
  else {
    host.log.warn(
      { interface: lent.hostInterfaceName },
      'the name of a network interface is taken on the host: it comes back under another one',
    );
    move('dev%d');
    return;
  }
  settle(host, lent);
}

/** Up, with the bridge and the addresses that it had. */
function settle(host: HostNetwork, { hostInterfaceName, up, master, addresses }: LentDevice): void {
  const link = readLink(host.route, hostInterfaceName);
  if (link === null) return;
  const bridge = master === 0 || readLink(host.route, master) === null ? {} : { master };
  const messages = [
    changeLink(link.index, { ...bridge, up }),
    ...addresses.map((address) => addAddress({ ...address, index: link.index })),
  ];
  for (const error of host.route.requestAll(messages, `set up ${hostInterfaceName}`))
    if (error)
      host.log.warn(
        { interface: hostInterfaceName, error: errorText(error) },
        'a network interface came back from a container, but not quite as it was',
      );
}
