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
 * After `release` the caller deletes the connection tracking entries of the ports (`linux/netlink/conntrack.ts`): UDP flows would go on otherwise.
 */
import { conflict, EngineError, invalid, notImplemented } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import type { KeptDescriptor } from '../../linux/kept-descriptor.ts';
import { bindInetSocket } from '../../linux/sockets.ts';
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
        this.#add(sandboxId, result, kept.get(labelOf(result)) ?? this.#bind(result, sandboxId));
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

  release(sandboxId: string, results: readonly PortResult[] | 'all'): void {
    const labels = results === 'all' ? null : new Set(results.map(labelOf));
    for (const reservation of this.#of(sandboxId)) {
      if (labels === null || labels.has(labelOf(reservation.result))) this.#drop(reservation);
    }
  }

  close(): void {
    for (const reservation of [...this.#reservations.values()]) this.#drop(reservation);
  }

  #of(sandboxId: string): readonly Reservation[] {
    return [...this.#reservations.values()].filter((reservation) => reservation.sandboxId === sandboxId);
  }

  #reserveOne(sandboxId: string, spec: PortSpec): readonly Reservation[] {
    const landings = this.#landings(spec);
    const [first, last] = spec.hostPorts;
    const candidates = first === 0 ? this.#ephemeral.candidates() : portsFrom(first, last);
    let refused: EngineError | null = null;
    for (const hostPort of candidates) {
      const outcome = this.#tryPort(sandboxId, spec, landings, hostPort);
      if (!(outcome instanceof EngineError)) return outcome;
      refused = outcome;
      // With one port its holder is the answer; of a range only that all are taken.
      if (first === last && first !== 0) throw refused;
    }
    const range = first === 0 ? 'ephemeral ports' : `ports ${first}-${last}`;
    throw conflict(
      `all ${range} of ${spec.hostIp === '' ? 'the host' : spec.hostIp} are taken for ${spec.protocol} port ${spec.containerPort}`,
      { cause: refused },
    );
  }

  /** On every address at once, or the conflict. */
  #tryPort(sandboxId: string, spec: PortSpec, landings: readonly Landing[], hostPort: number): readonly Reservation[] | EngineError {
    const made: Reservation[] = [];
    for (const landing of landings) {
      const result: PortResult = { protocol: spec.protocol, containerPort: spec.containerPort, hostPort, ...landing };
      try {
        made.push(this.#add(sandboxId, result, this.#bind(result, sandboxId)));
      } catch (thrown) {
        for (const reservation of made) this.#drop(reservation);
        if (thrown instanceof EngineError && thrown.code === 'conflict') return thrown;
        throw thrown;
      }
    }
    return made;
  }

  #bind(result: PortResult, sandboxId: string): number | null {
    const { protocol, hostIp, hostPort } = result;
    // A listener holds its port against everybody; one that only reserves must not be shared.
    const outcome = bindInetSocket({ protocol, address: hostIp, port: hostPort, reuseAddress: result.mode === 'proxy' });
    switch (outcome.kind) {
      case 'bound':
        return outcome.fd;
      case 'no-protocol':
        this.#refuseHeld(result, sandboxId);
        return null;
      case 'no-address':
        throw invalid(
          `cannot publish on ${hostIp}:${hostPort}/${protocol}: cannot assign requested address; it is not an address of this host`,
        );
      case 'taken':
        throw this.#taken(result);
    }
  }

  #refuseHeld(result: PortResult, sandboxId: string): void {
    const held = this.#reservations.get(labelOf(result));
    if (held !== undefined && held.sandboxId !== sandboxId) throw this.#taken(result);
  }

  #taken(result: PortResult): EngineError {
    const { protocol, hostIp, hostPort } = result;
    const own = [...this.#reservations.values()].find(
      ({ result: other }) => other.protocol === protocol && other.hostPort === hostPort && overlaps(other.hostIp, hostIp),
    );
    const where = `${hostIp.includes(':') ? `[${hostIp}]` : hostIp}:${hostPort}`;
    const holder = own === undefined ? findPortHolder(protocol, hostPort) : `container ${this.#options.nameOf(own.sandboxId)}`;
    return conflict(`Bind for ${where} failed: port is already allocated${holder === null ? '' : ` (by ${holder})`}`, {
      details: { protocol, hostIp, hostPort },
    });
  }

  #add(sandboxId: string, result: PortResult, fd: number | null): Reservation {
    let proxy: PortProxy | null = null;
    try {
      proxy = this.#proxyFor(result, fd);
    } catch (thrown) {
      if (fd !== null) closeDescriptor(fd);
      throw thrown;
    }
    const reservation: Reservation = { result, sandboxId, fd, proxy };
    this.#reservations.set(labelOf(result), reservation);
    return reservation;
  }

  #proxyFor(result: PortResult, fd: number | null): PortProxy | null {
    const forLoopback = result.mode === 'nat' && this.#options.settings.proxy && result.hostIp === '::';
    if (fd === null || (result.mode === 'nat' && !forLoopback) || result.protocol === 'sctp') return null;
    return startProxy(
      {
        protocol: result.protocol,
        fd,
        family: result.hostIp.includes(':') ? 6 : 4,
        targetIp: result.targetIp,
        targetPort: result.containerPort,
      },
      this.#options.log,
    );
  }

  #drop({ result, fd, proxy }: Reservation): void {
    this.#reservations.delete(labelOf(result));
    if (proxy !== null) proxy.close();
    else if (fd !== null) closeDescriptor(fd);
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
  return 'the container has no address of that family, and the proxy is switched off (--userland-proxy=false)';
}

function* portsFrom(first: number, last: number): Generator<number> {
  for (let port = first; port <= last; port++) yield port;
}
