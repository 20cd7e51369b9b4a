/**
 * The firewall of all our networks: what passes between bridges, the host and the world, and which ports lead where. All state is elements of one nft table
 * (`table.ts` has its text, `kernel-table.ts` its life); this file keeps what should be in it and brings the kernel there, one batch a change.
 *
 * Everything is synchronous and idempotent: adding what is there, or removing what is not, changes nothing. After an error nothing of the call is left.
 *
 * Several times a second it asks the kernel whether the rule set changed (one request, some microseconds, where a subscription would bring every element of
 * every change). When somebody else changed it: our table is made again if it is gone (kernels without `persist`), and the host's own forward chains are
 * looked at anew (`forward-chains.ts`), for a firewall that reloads takes our one rule with it.
 */
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { isErrno } from '../../linux/ffi.ts';
import { NETLINK_NETFILTER, type NetlinkSocket, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../linux/nftables/expressions.ts';
import { rulesetGeneration } from '../../linux/nftables/ruleset.ts';
import type { BridgeSpec, NetSettings, PortResult, TableComparison } from '../net-calls.ts';
import { droppingChains } from './forward-chains.ts';
import { explainDrop, type ForwardJump, forwardJump } from './forward-jump.ts';
import { hasLegacyFilter } from './iptables-command.ts';
import { type KernelTable, openKernelTable, removeLeftTable } from './kernel-table.ts';
import {
  type ElementChoices,
  type EndpointAddresses,
  elementsOfBridge,
  elementsOfEndpoint,
  elementsOfPort,
  type TableElement,
} from './table-elements.ts';
import { dataText, type ElementChange, keyText, TableState } from './table-state.ts';
import { ensureUserTable, removeEmptyUserTable, userTableName } from './user-table.ts';

export type { EndpointAddresses };

export interface Firewall {
  /** Also when it is there with other properties. */
  addBridge(spec: BridgeSpec): void;
  removeBridge(spec: BridgeSpec): void;
  addEndpoint(endpoint: EndpointAddresses): void;
  removeEndpoint(endpoint: EndpointAddresses): void;
  /** After the ports were reserved. `bridge`: of the endpoint that they lead to, which was added before. */
  publish(ports: readonly PortResult[], bridge: string): void;
  unpublish(ports: readonly PortResult[], bridge: string): void;
  /** The whole at once: what else is in the table is removed. */
  sync(state: FirewallState): void;
  facts(): FirewallFacts;
  /** The kernel's table against what should be in it; null: there is no firewall. */
  compare(): TableComparison | null;
  /** Brings the table to what should be in it. */
  mend(): void;
  /** `keep`: the table stays and works on; else nothing of ours stays. */
  close(keep: boolean): void;
}

export interface FirewallState {
  readonly bridges: readonly BridgeSpec[];
  readonly endpoints: readonly EndpointAddresses[];
  /** The endpoints tell which bridge each leads to. */
  readonly ports: readonly PortResult[];
}

export interface FirewallFacts {
  readonly tableSurvivesFlush: boolean;
  readonly warnings: readonly string[];
}

const watchIntervalMs = 400;
/** The old iptables changes unseen by nft: its chains are read every so many looks. */
const ticksPerLegacyLook = 75;
/** The part of what a former daemon left in the table. */
const formerPart = 'former';

/** `protect: false`: the table can be flushed by others, as on kernels before 6.9. */
export function openFirewall(settings: NetSettings, log: Logger, { protect = true }: { readonly protect?: boolean } = {}): Firewall {
  const socket = openNetlink(NETLINK_NETFILTER);
  try {
    if (settings.firewall) return new NftFirewall(socket, settings, log, protect);
    removeLeftTable(socket, settings.globalName);
  } catch (thrown) {
    socket.close();
    throw thrown;
  }
  socket.close();
  return noFirewall;
}

/** `--iptables=false`: ports work by proxy alone. */
const noFirewall: Firewall = {
  addBridge() {},
  removeBridge() {},
  addEndpoint() {},
  removeEndpoint() {},
  publish() {},
  unpublish() {},
  sync() {},
  facts: () => ({ tableSurvivesFlush: false, warnings: [] }),
  compare: () => null,
  mend() {},
  close() {},
};

class NftFirewall implements Firewall {
  readonly #socket: NetlinkSocket;
  readonly #settings: NetSettings;
  readonly #log: Logger;
  readonly #table: KernelTable;
  readonly #jump: ForwardJump;
  readonly #ownTables: readonly string[];
  readonly #watch: NodeJS.Timeout;
  readonly #state = new TableState();
  /** What each thing that was added put into the state. */
  readonly #parts = new Map<string, readonly TableElement[]>();
  readonly #bridges = new Map<string, BridgeSpec>();
  #choices: ElementChoices;
  #warnings: readonly string[] = [];
  #generation = 0;
  #ticks = 0;
  #closed = false;

  constructor(socket: NetlinkSocket, settings: NetSettings, log: Logger, protect: boolean) {
    this.#socket = socket;
    this.#settings = settings;
    this.#log = log;
    this.#choices = { ipv6: settings.firewall6, marking: false };
    this.#ownTables = [settings.globalName, userTableName(settings.globalName)];
    const { globalName: name, firewall6: ipv6, dnsOnly = false } = settings;
    this.#table = openKernelTable(socket, { name, ipv6, dnsOnly, protect });
    // What a former daemon put there counts as present until `sync` says what should be.
    this.#want(formerPart, this.#table.elements());
    this.#jump = forwardJump(socket, settings.globalName, this.#ownTables, log);
    this.#look();
    this.#watch = setInterval(() => this.#lookIfChanged(), watchIntervalMs).unref();
  }

  addBridge(spec: BridgeSpec): void {
    this.#change([[partOfBridge(spec), elementsOfBridge(spec, this.#choices)]]);
    this.#bridges.set(spec.bridge, spec);
  }

  removeBridge(spec: BridgeSpec): void {
    this.#change([[partOfBridge(spec), []]]);
    this.#bridges.delete(spec.bridge);
  }

  addEndpoint(endpoint: EndpointAddresses): void {
    this.#change([[partOfEndpoint(endpoint), elementsOfEndpoint(endpoint, this.#choices)]]);
  }

  removeEndpoint(endpoint: EndpointAddresses): void {
    this.#change([[partOfEndpoint(endpoint), []]]);
  }

  publish(ports: readonly PortResult[], bridge: string): void {
    const spec = this.#bridges.get(bridge) ?? null;
    this.#change(ports.map((port) => [partOfPort(port), elementsOfPort(port, spec, this.#choices)]));
  }

  unpublish(ports: readonly PortResult[]): void {
    this.#change(ports.map((port) => [partOfPort(port), []]));
  }

  sync({ bridges, endpoints, ports }: FirewallState): void {
    this.#parts.clear();
    this.#state.clear();
    this.#bridges.clear();
    for (const spec of bridges) {
      this.#bridges.set(spec.bridge, spec);
      this.#want(partOfBridge(spec), elementsOfBridge(spec, this.#choices));
    }
    for (const endpoint of endpoints) this.#want(partOfEndpoint(endpoint), elementsOfEndpoint(endpoint, this.#choices));
    const bridgeOf = new Map(endpoints.flatMap(({ bridge, ipv4, ipv6 }) => [ipv4, ipv6].map((address) => [address, bridge] as const)));
    for (const port of ports) {
      const spec = this.#bridges.get(bridgeOf.get(port.targetIp) ?? '') ?? null;
      this.#want(partOfPort(port), elementsOfPort(port, spec, this.#choices));
    }
    this.#restore();
  }

  facts(): FirewallFacts {
    return { tableSurvivesFlush: this.#table.isProtected, warnings: this.#warnings };
  }

  compare(): TableComparison {
    const name = this.#settings.globalName;
    const exists = this.#table.exists();
    const { add, remove } = this.#state.difference(exists ? this.#table.elements() : []);
    return { name, exists, strayElements: remove.length, missingElements: add.length };
  }

  mend(): void {
    this.#restore();
  }

  close(keep: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    try {
      if (keep) return;
      if (this.#table.exists()) this.#table.remove();
      this.#jump.removeAll();
      removeEmptyUserTable(this.#socket, this.#settings.globalName);
    } finally {
      this.#socket.close();
    }
  }

  /** Each part gets these elements instead of those it had. */
  #change(parts: readonly (readonly [part: string, elements: readonly TableElement[]])[]): void {
    const add = parts.flatMap(([, elements]) => elements);
    const outdated = this.#outdatedBy(add);
    const remove = [...parts.flatMap(([part]) => this.#parts.get(part) ?? []), ...outdated];
    const change = this.#state.prepare(remove, add);
    this.#state.keep(remove, add);
    try {
      if (change.remove.length > 0 || change.add.length > 0) this.#carryOut(change);
    } catch (thrown) {
      this.#state.keep(add, remove);
      throw thrown;
    }
    for (const [part, elements] of parts) this.#remember(part, elements);
    if (outdated.length > 0)
      this.#remember(
        formerPart,
        (this.#parts.get(formerPart) ?? []).filter((element) => !outdated.includes(element)),
      );
  }

  /** Of what a former daemon left: the same key with other data. */
  #outdatedBy(add: readonly TableElement[]): readonly TableElement[] {
    const former = this.#parts.get(formerPart);
    if (former === undefined || add.length === 0) return [];
    const fresh = new Map(add.map((element) => [keyText(element), dataText(element.data)]));
    return former.filter((element) => {
      const data = fresh.get(keyText(element));
      return data !== undefined && data !== dataText(element.data);
    });
  }

  #carryOut(change: ElementChange): void {
    try {
      this.#ownChange(() => this.#table.change(change));
    } catch (thrown) {
      if (!isErrno(thrown, 'ENOENT', 'EEXIST')) throw thrown;
      // The table is not what we left it: somebody removed it, or put something in.
      this.#log.warn({ error: errorText(thrown) }, 'the nft table was changed by somebody else: bringing it back');
      this.#restore();
    }
  }

  /** From whatever is in the kernel to the state. */
  #restore(): void {
    this.#ownChange(() => {
      if (!this.#table.exists()) this.#table.rebuild(this.#state.elements);
      else this.#table.change(this.#state.difference(this.#table.elements()));
    });
  }

  #want(part: string, elements: readonly TableElement[]): void {
    this.#state.keep(this.#parts.get(part) ?? [], elements);
    this.#remember(part, elements);
  }

  #remember(part: string, elements: readonly TableElement[]): void {
    if (elements.length === 0) this.#parts.delete(part);
    else this.#parts.set(part, elements);
  }

  /** So that what we change ourselves is not taken for somebody else's. */
  #ownChange(change: () => void): void {
    change();
    const generation = rulesetGeneration(this.#socket);
    if (generation === this.#generation + 1) this.#generation = generation;
  }

  #lookIfChanged(): void {
    this.#ticks++;
    const legacyIsDue = this.#ticks % ticksPerLegacyLook === 0 && [NFPROTO_IPV4, NFPROTO_IPV6].some(hasLegacyFilter);
    try {
      if (!legacyIsDue && rulesetGeneration(this.#socket) === this.#generation) return;
      this.#look();
    } catch (thrown) {
      this.#log.error({ error: errorText(thrown) }, 'cannot look after the nft table');
    }
  }

  #look(): void {
    this.#generation = rulesetGeneration(this.#socket);
    if (!this.#table.exists()) {
      this.#log.warn({ table: this.#settings.globalName }, 'the nft table was removed by somebody else: making it again');
      this.#ownChange(() => this.#table.rebuild(this.#state.elements));
    }
    this.#ownChange(() => ensureUserTable(this.#socket, this.#settings.globalName));
    this.#lookAtForwardChains();
  }

  #lookAtForwardChains(): void {
    const chains = droppingChains(this.#socket, this.#ownTables);
    this.#mark(chains.length > 0);
    const warnings = chains.flatMap((chain) => {
      if (!this.#settings.forwardJump) return [explainDrop(chain, this.#settings.globalName, null)];
      let problem: string | null = null;
      this.#ownChange(() => {
        problem = this.#jump.allow(chain);
      });
      return problem === null ? [] : [explainDrop(chain, this.#settings.globalName, problem)];
    });
    for (const warning of warnings) if (!this.#warnings.includes(warning)) this.#log.warn({}, warning);
    this.#warnings = warnings;
  }

  #mark(marking: boolean): void {
    if (this.#choices.marking === marking) return;
    this.#choices = { ...this.#choices, marking };
    this.#change([...this.#bridges.values()].map((spec) => [partOfBridge(spec), elementsOfBridge(spec, this.#choices)]));
  }
}

function partOfBridge({ bridge }: BridgeSpec): string {
  return `bridge ${bridge}`;
}

function partOfEndpoint({ bridge, ipv4, ipv6 }: EndpointAddresses): string {
  return `endpoint ${bridge} ${ipv4} ${ipv6}`;
}

function partOfPort({ protocol, hostIp, hostPort, targetIp, containerPort }: PortResult): string {
  return `port ${protocol} ${hostIp} ${hostPort} ${targetIp} ${containerPort}`;
}
