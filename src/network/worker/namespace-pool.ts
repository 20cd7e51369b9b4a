/**
 * Network namespaces made ahead: lo is up, a netlink socket is open inside, and a veth pair leads in (`eth0` there, down; the host's end is no bridge's
 * yet). Making one takes 1.0–1.7 ms, so it is done while nothing else is to do.
 *
 * A namespace is used once: one that a container had may hold sysctls, rules and flows.
 */
import { randomBytes } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { changeLink, newLink, readLink } from '../../linux/netlink/links.ts';
import { carryOut, NETLINK_ROUTE, type NetlinkSocket, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../linux/network-namespace.ts';
import { type HostNetwork, linkAlias } from './host-network.ts';

export const preparedInterfaceName = 'eth0';
const preparedMtu = 1500;

export interface Veth {
  /** In the host's namespace. */
  readonly hostIndex: number;
  /** In the container's. */
  readonly innerIndex: number;
  readonly mtu: number;
  /** Of the inner end. */
  readonly macAddress: string;
}

export interface OpenNamespace {
  readonly fd: number;
  /** rtnetlink inside. */
  readonly route: NetlinkSocket;
  /** Ready to be given to the first endpoint on a bridge; null: none. */
  readonly veth: Veth | null;
}

export interface NamespacePool {
  /** With a veth pair when it came from the pool; the caller's to close. */
  take(wantsVeth: boolean): OpenNamespace;
  /** Makes one more. False: it is full. */
  refill(): boolean;
  /** Whether this link of the host belongs to a namespace that nobody has taken yet. */
  owns(hostIndex: number): boolean;
  close(): void;
}

export function openNamespacePool(host: HostNetwork): NamespacePool {
  const ready: OpenNamespace[] = [];
  return {
    take(wantsVeth) {
      return (wantsVeth ? ready.pop() : undefined) ?? openEmptyNamespace();
    },
    refill() {
      if (ready.length >= host.settings.pool || !host.drivers.bridge) return false;
      const namespace = openEmptyNamespace();
      try {
        const veth = makeVeth(host, namespace, preparedInterfaceName, preparedMtu, linkAlias(host.settings, 'pool'));
        // The oldest goes first.
        ready.unshift({ ...namespace, veth });
      } catch (thrown) {
        closeNamespace(namespace);
        throw thrown;
      }
      return ready.length < host.settings.pool;
    },
    owns: (hostIndex) => ready.some(({ veth }) => veth?.hostIndex === hostIndex),
    close() {
      for (const namespace of ready.splice(0)) closeNamespace(namespace);
    },
  };
}

/** The kernel then destroys what is inside, unless a process lives in it. */
export function closeNamespace({ fd, route }: OpenNamespace): void {
  route.close();
  closeDescriptor(fd);
}

/** `name` is that of the inner end, which is down. */
export function makeVeth(host: HostNetwork, { fd, route }: OpenNamespace, name: string, mtu: number, alias: string): Veth {
  for (;;) {
    // Docker's kind of name, known to firewalls and monitoring (`veth*`).
    const hostName = `veth${randomBytes(4).toString('hex').slice(0, 7)}`;
    const outcomes = host.route.requestAll(
      [
        newLink({ kind: 'veth', peer: { name, namespace: fd, mtu } }, { name: hostName, mtu }),
        changeLink(hostName, { alias, ...(host.ipv6 ? { ipv6LinkLocal: false } : {}) }),
      ],
      `make a veth pair for ${name}`,
    );
    const [made, marked] = outcomes;
    // The name is taken, by the other end's only if it is the caller's mistake.
    if (made?.errnoName === 'EEXIST' && readLink(host.route, hostName) !== null) continue;
    if (made) throw made;
    if (marked) throw marked;
    const outer = readLink(host.route, hostName);
    const inner = readLink(route, name);
    if (outer === null || inner === null) throw new EngineError('system', `interface ${hostName} went away while it was made`);
    return { hostIndex: outer.index, innerIndex: inner.index, mtu, macAddress: inner.address };
  }
}

function openEmptyNamespace(): OpenNamespace {
  const fd = createNetworkNamespace();
  try {
    const route = inNetworkNamespace(fd, () => openNetlink(NETLINK_ROUTE));
    try {
      carryOut(route, [changeLink('lo', { up: true })], 'set up lo');
      return { fd, route, veth: null };
    } catch (thrown) {
      route.close();
      throw thrown;
    }
  } catch (thrown) {
    closeDescriptor(fd);
    throw thrown;
  }
}
