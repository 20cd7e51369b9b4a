/**
 * The host's ports that containers publish. Each is reserved by a bound socket, so that two containers, or a container and a program of the host, never share
 * one: a rewrite by the kernel would hide the program silently. The container's monitor keeps a duplicate of the socket; the next daemon takes it back.
 *
 *   reserved (bound) ──▶ NAT: nobody listens; the kernel rewrites the packets before they reach it
 *                   └──▶ proxied: the same socket listens (`proxy.ts`)
 *
 * [::1] cannot be rewritten, so the reservation of an IPv6 port listens in any case: only what comes by loopback reaches it. While the daemon is away such
 * connections wait in the kernel's queue.
 *
 * A released port is free only when the monitor's duplicate is closed, too. A port that moves to another address of the same container (released and reserved
 * again in the same turn of the event loop) therefore keeps its socket.
 *
 * After `release` the caller deletes the connection tracking entries of the ports (`linux/netlink/conntrack.ts`): UDP flows would go on otherwise.
 */
import { conflict, type EngineError, invalid, notImplemented } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import type { KeptDescriptor } from '../../linux/kept-descriptor.ts';
import { bindInetSocket, SO_REUSEADDR, SOL_SOCKET, setSocketOption } from '../../linux/sockets.ts';
import type { NetSettings, PortResult, PortSpec } from '../net-calls.ts';
import { EphemeralPorts } from './ephemeral-ports.ts';
import { findPortHolder } from './port-holder.ts';
import { type PortProxy, startProxy } from './proxy.ts';

export interface PortTableOptions {
  readonly settings: Pick<NetSettings, 'firewall' | 'firewall6' | 'proxy'>;
  /** The host has IPv6. */
  readonly ipv6: boolean;
  /** For the message of a conflict. */
  nameOf(sandboxId: string): string;
  readonly log: Logger;
}

interface Reservation {
  readonly result: PortResult;
  readonly sandboxId: string;
  /** Null: the kernel has no sockets of this protocol, so there is nothing to hold. */
  readonly fd: number | null;
  readonly proxy: PortProxy | null;
}

/** A socket for a reservation, perhaps one that listens already. */
interface Holding {
  readonly fd: number | null;
  readonly proxy: PortProxy | null;
}

/** One address that a port is to be bound to, and where it leads. */
interface Landing {
  readonly hostIp: string;
  readonly targetIp: string;
  readonly mode: 'nat' | 'proxy';
}

export class PortTable {
  readonly #options: PortTableOptions;
  readonly #ephemeral = new EphemeralPorts();
  /** By label. */
  readonly #reservations = new Map<string, Reservation>();
  /** Released in this turn of the event loop, by label. */
  readonly #released = new Map<string, Reservation>();

  constructor(options: PortTableOptions) {
    this.#options = options;
  }

  /** All or none. */
  reserve(sandboxId: string, specs: readonly PortSpec[]): readonly PortResult[] {
    const made: Reservation[] = [];
    try {
      for (const spec of specs) made.push(...this.#reserveOne(sandboxId, spec));
    } catch (thrown) {
      for (const reservation of made) this.#drop(reservation);
      throw thrown;
    }
    return made.map(({ result }) => result);
  }

  /** What an earlier daemon reserved: with its socket when the monitor kept it, else bound anew. */
  adopt(sandboxId: string, results: readonly PortResult[], kept: ReadonlyMap<string, number>): void {
    for (const result of results) {
      try {
        // Closed by `#add` when it fails.
        const descriptor = kept.get(labelOf(result));
        const holding = descriptor === undefined ? this.#bind(sandboxId, result) : { fd: descriptor, proxy: null };
        if (holding === 'taken') throw this.#conflict(result);
        this.#add(sandboxId, result, holding);
      } catch (thrown) {
        this.#options.log.warn(
          { sandbox: sandboxId, port: labelOf(result), error: String(thrown) },
          'a published port could not be reserved again',
        );
      }
    }
  }

  /** Every descriptor that is to be kept for the sandbox. */
  kept(sandboxId: string): readonly KeptDescriptor[] {
    return this.#of(sandboxId).flatMap(keptOf);
  }

  owners(): readonly { readonly sandboxId: string; readonly port: string }[] {
    return [...this.#reservations.values()].map(({ sandboxId, result: { protocol, hostIp, hostPort } }) => ({
      sandboxId,
      port: `${protocol} ${hostIp}:${hostPort}`,
    }));
  }

  release(sandboxId: string, results: readonly PortResult[] | 'all'): void {
    const labels = results === 'all' ? null : new Set(results.map(labelOf));
    for (const reservation of this.#of(sandboxId)) {
      const label = labelOf(reservation.result);
      if (labels !== null && !labels.has(label)) continue;
      this.#reservations.delete(label);
      this.#released.set(label, reservation);
    }
    if (results === 'all') this.#closeReleased();
    else setImmediate(() => this.#closeReleased());
  }

  close(): void {
    for (const reservation of [...this.#reservations.values()]) this.#drop(reservation);
    this.#closeReleased();
  }

  #closeReleased(): void {
    for (const reservation of this.#released.values()) closeHolding(reservation);
    this.#released.clear();
  }

  #of(sandboxId: string): readonly Reservation[] {
    return [...this.#reservations.values()].filter((reservation) => reservation.sandboxId === sandboxId);
  }

  #reserveOne(sandboxId: string, spec: PortSpec): readonly Reservation[] {
    const landings = this.#landings(spec);
    const [first, last] = spec.hostPorts;
    const candidates = first === 0 ? this.#ephemeral.candidates() : portsFrom(first, last);
    let tries = 0;
    for (const hostPort of candidates) {
      const outcome = this.#tryPort(sandboxId, spec, landings, hostPort);
      if (!isTaken(outcome)) return outcome;
      // With one port its holder is the answer; of a range only that all are taken.
      if (first === last && first !== 0) throw this.#conflict(outcome.taken);
      tries++;
    }
    const range = first === 0 ? `${tries} ephemeral ports` : `ports ${first}-${last}`;
    throw conflict(
      `all ${range} of ${spec.hostIp === '' ? 'the host' : spec.hostIp} are taken for ${spec.protocol} port ${spec.containerPort}`,
    );
  }

  /** On every address at once, or on none. */
  #tryPort(sandboxId: string, spec: PortSpec, landings: readonly Landing[], hostPort: number): readonly Reservation[] | Taken {
    const made: Reservation[] = [];
    try {
      for (const landing of landings) {
        const result: PortResult = { protocol: spec.protocol, containerPort: spec.containerPort, hostPort, ...landing };
        const holding = this.#bind(sandboxId, result);
        if (holding === 'taken') {
          for (const reservation of made) this.#drop(reservation);
          return { taken: result };
        }
        made.push(this.#add(sandboxId, result, holding));
      }
      return made;
    } catch (thrown) {
      for (const reservation of made) this.#drop(reservation);
      throw thrown;
    }
  }

  #bind(sandboxId: string, result: PortResult): Holding | 'taken' {
    const { protocol, hostIp, hostPort } = result;
    const released = this.#released.get(labelOf(result));
    if (released?.sandboxId === sandboxId) {
      this.#released.delete(labelOf(result));
      return released;
    }
    if (released) this.#closeReleased();
    // Old connections of a proxy (TIME_WAIT) must not keep its port from the next container. Of UDP, sockets that re-use share.
    const outcome = bindInetSocket({ protocol, address: hostIp, port: hostPort, reuseAddress: protocol === 'tcp' });
    switch (outcome.kind) {
      case 'bound':
        return { fd: outcome.fd, proxy: null };
      case 'no-protocol':
        return this.#holder(result) === undefined ? { fd: null, proxy: null } : 'taken';
      case 'no-address':
        throw invalid(
          `cannot publish on ${hostIp}:${hostPort}/${protocol}: cannot assign requested address; it is not an address of this host`,
        );
      case 'taken':
        return 'taken';
    }
  }

  #holder({ protocol, hostIp, hostPort }: PortResult): Reservation | undefined {
    return [...this.#reservations.values()].find(
      ({ result: other }) => other.protocol === protocol && other.hostPort === hostPort && overlaps(other.hostIp, hostIp),
    );
  }

  #conflict(result: PortResult): EngineError {
    const { protocol, hostIp, hostPort } = result;
    const own = this.#holder(result);
    const where = `${hostIp.includes(':') ? `[${hostIp}]` : hostIp}:${hostPort}`;
    const holder = own === undefined ? findPortHolder(protocol, hostPort) : `container ${this.#options.nameOf(own.sandboxId)}`;
    return conflict(`Bind for ${where} failed: port is already allocated${holder === null ? '' : ` (by ${holder})`}`, {
      details: { protocol, hostIp, hostPort },
    });
  }

  /** The holding is closed when it fails. */
  #add(sandboxId: string, result: PortResult, holding: Holding): Reservation {
    try {
      const proxy = this.#proxyFor(result, holding);
      // A listener holds its port against everybody. One that only reserves would share it with whoever re-uses addresses, as most servers do.
      if (holding.fd !== null && proxy === null) {
        setSocketOption(holding.fd, SOL_SOCKET, SO_REUSEADDR, 0, labelOf(result));
      }
      const reservation: Reservation = { result, sandboxId, fd: holding.fd, proxy };
      this.#reservations.set(labelOf(result), reservation);
      return reservation;
    } catch (thrown) {
      closeHolding(holding);
      throw thrown;
    }
  }

  #proxyFor(result: PortResult, { fd, proxy }: Holding): PortProxy | null {
    const target = { targetIp: result.targetIp, targetPort: result.containerPort };
    // What listens cannot be made to stop without giving up the port; where the kernel rewrites, nothing comes to it.
    proxy?.lead(target);
    const forLoopback = result.mode === 'nat' && this.#options.settings.proxy && result.hostIp === '::';
    if (proxy !== null || fd === null || (result.mode === 'nat' && !forLoopback) || result.protocol === 'sctp') return proxy;
    return startProxy({ protocol: result.protocol, fd, family: result.hostIp.includes(':') ? 6 : 4, ...target }, this.#options.log);
  }

  #drop(reservation: Reservation): void {
    this.#reservations.delete(labelOf(reservation.result));
    closeHolding(reservation);
  }

  #landings(spec: PortSpec): readonly Landing[] {
    const addresses = spec.hostIp === '' ? ['0.0.0.0', ...(this.#options.ipv6 ? ['::'] : [])] : [spec.hostIp];
    const landings = addresses.flatMap((hostIp) => this.#landing(spec, hostIp) ?? []);
    if (landings.length > 0) return landings;
    throw notImplemented(
      `cannot publish ${spec.protocol} port ${spec.containerPort} on ${spec.hostIp === '' ? 'the host' : spec.hostIp}: ${whyNot(spec)}`,
    );
  }

  /** NAT stays within one address family and cannot touch [::1]; a proxy leads anywhere, for TCP and UDP. */
  #landing(spec: PortSpec, hostIp: string): Landing | null {
    const { settings } = this.#options;
    const v6 = hostIp.includes(':');
    const [same, other] = v6 ? [spec.target6, spec.target4] : [spec.target4, spec.target6];
    const rewritable = spec.mode === 'nat' && settings.firewall && (!v6 || (settings.firewall6 && hostIp !== '::1'));
    if (rewritable && same !== null) return { hostIp, targetIp: same, mode: 'nat' };
    const targetIp = same ?? other;
    const mayProxy = settings.proxy || spec.mode === 'proxy' || !settings.firewall;
    if (targetIp === null || !mayProxy || spec.protocol === 'sctp') return null;
    return { hostIp, targetIp, mode: 'proxy' };
  }
}

/** Told to the next daemon by the monitor that keeps the socket. */
export function labelOf({ protocol, hostIp, hostPort }: PortResult): string {
  return `port/${protocol}/${hostIp}/${hostPort}`;
}

interface Taken {
  readonly taken: PortResult;
}

function isTaken(outcome: readonly Reservation[] | Taken): outcome is Taken {
  return 'taken' in outcome;
}

function closeHolding({ fd, proxy }: Holding): void {
  if (proxy !== null) proxy.close();
  else if (fd !== null) closeDescriptor(fd);
}

function keptOf({ result, fd }: Reservation): readonly KeptDescriptor[] {
  return fd === null ? [] : [{ label: labelOf(result), fd }];
}

function overlaps(one: string, other: string): boolean {
  if (one.includes(':') !== other.includes(':')) return false;
  return one === other || [one, other].some((address) => address === '0.0.0.0' || address === '::');
}

function whyNot(spec: PortSpec): string {
  if (spec.target4 === null && spec.target6 === null) return 'the container has no address on a network that publishes ports';
  if (spec.protocol === 'sctp')
    return 'SCTP can only be rewritten by the kernel, within one address family; use an address of the family that the container has';
  if (spec.hostIp === '::1') return 'only the proxy serves [::1], and it is switched off (--userland-proxy=false)';
  return 'the container has no address of that family, and the proxy is switched off (--userland-proxy=false)';
}

function* portsFrom(first: number, last: number): Generator<number> {
  for (let port = first; port <= last; port++) yield port;
}
