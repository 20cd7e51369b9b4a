/**
 * The names that containers answer to, by network. A name that several endpoints share (an alias) has the addresses of all of them; who sees which names is told
 * by a `NameScope`: the networks of the container that asks, in their order, and the links that are its own.
 *
 *     network id ──▶ name ──▶ { v4: records, v6: records }
 *                └─▶ reverse name ──▶ endpoint
 */
import { ipToBytes } from '../../base/ip-bytes.ts';
import { encodeName, nameKey, type RecordData, typeA, typeAaaa, typePtr } from './dns-message.ts';

export interface DnsEndpoint {
  readonly id: string;
  readonly networkId: string;
  /** Container id. */
  readonly sandboxId: string;
  /** The first that DNS can spell is what PTR answers. */
  readonly names: readonly string[];
  /** '' : none. */
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface NameScope {
  readonly networks: readonly { readonly id: string; readonly name: string; readonly suffix: string }[];
  /** Lower-case name → container id. */
  readonly links: ReadonlyMap<string, string>;
}

export function nameScope(
  networks: readonly { readonly id: string; readonly name: string }[],
  links: Readonly<Record<string, string>>,
): NameScope {
  return {
    networks: networks.map(({ id, name }) => ({ id, name, suffix: `.${nameKey(name)}` })),
    links: new Map(Object.entries(links).map(([name, target]) => [nameKey(name), target])),
  };
}

/** All that a name means to one asker. Empty lists: the name exists, without an address of that family. */
export interface NameEntry {
  readonly v4: readonly RecordData[];
  readonly v6: readonly RecordData[];
  /** Where the next answer of each family begins. They are counted apart: clients ask for both in turn. */
  turn4: number;
  turn6: number;
}

interface Network {
  readonly names: Map<string, SharedName>;
  readonly reverse: Map<string, DnsEndpoint>;
}

interface SharedName extends NameEntry {
  readonly endpoints: Set<string>;
  /** The records are not those of `endpoints` any more; they are made when somebody asks, so that a thousand containers with one alias cost a thousand steps. */
  stale: boolean;
  v4: readonly RecordData[];
  v6: readonly RecordData[];
}

export class NameTable {
  readonly #endpoints = new Map<string, DnsEndpoint>();
  readonly #networks = new Map<string, Network>();
  /** Container → its endpoints, for links. */
  readonly #bySandbox = new Map<string, Set<DnsEndpoint>>();

  /** One that is there already under this id is replaced. */
  add(endpoint: DnsEndpoint): void {
    this.remove(endpoint.id);
    this.#endpoints.set(endpoint.id, endpoint);
    getOrMake(this.#bySandbox, endpoint.sandboxId, () => new Set<DnsEndpoint>()).add(endpoint);
    const network = getOrMake(this.#networks, endpoint.networkId, () => ({ names: new Map(), reverse: new Map() }));
    for (const key of new Set(endpoint.names.map(nameKey))) {
      const name = getOrMake(network.names, key, emptyName);
      name.endpoints.add(endpoint.id);
      name.stale = true;
    }
    for (const key of reverseNames(endpoint)) network.reverse.set(key, endpoint);
  }

  setNames(id: string, names: readonly string[]): void {
    const endpoint = this.#endpoints.get(id);
    if (endpoint !== undefined) this.add({ ...endpoint, names });
  }

  remove(id: string): void {
    const endpoint = this.#endpoints.get(id);
    const network = this.#networks.get(endpoint?.networkId ?? '');
    if (endpoint === undefined || network === undefined) return;
    this.#endpoints.delete(id);
    const siblings = this.#bySandbox.get(endpoint.sandboxId);
    siblings?.delete(endpoint);
    if (siblings?.size === 0) this.#bySandbox.delete(endpoint.sandboxId);
    for (const key of new Set(endpoint.names.map(nameKey))) {
      const name = network.names.get(key);
      if (name === undefined) continue;
      name.endpoints.delete(id);
      name.stale = true;
      if (name.endpoints.size === 0) network.names.delete(key);
    }
    for (const key of reverseNames(endpoint)) if (network.reverse.get(key) === endpoint) network.reverse.delete(key);
    if (network.names.size === 0 && network.reverse.size === 0) this.#networks.delete(endpoint.networkId);
  }

  /**
   * Links come first; then the name as it is in every network of the scope; then `name.network`. Of several networks that know it, the first with an address of
   * the family wanted counts. Null: not a name of ours.
   */
  find(scope: NameScope, name: string, family: 'v4' | 'v6'): NameEntry | null {
    const plain = this.#linked(scope, scope.networks, name) ?? this.#named(scope.networks, name, family);
    if (plain !== null || !name.includes('.')) return plain;
    for (const network of scope.networks) {
      if (!name.endsWith(network.suffix)) continue;
      const inside = name.slice(0, -network.suffix.length);
      const found = this.#linked(scope, [network], inside) ?? this.#named([network], inside, family);
      if (found !== null) return found;
    }
    return null;
  }

  /** For `4.3.2.10.in-addr.arpa`: `name.network`. */
  findReverse(scope: NameScope, name: string): RecordData | null {
    for (const { id, name: networkName } of scope.networks) {
      const endpoint = this.#networks.get(id)?.reverse.get(name);
      for (const candidate of endpoint?.names ?? []) {
        const data = encodeName(`${candidate}.${networkName}`);
        if (data !== null) return { type: typePtr, data };
      }
    }
    return null;
  }

  #named(networks: NameScope['networks'], name: string, family: 'v4' | 'v6'): NameEntry | null {
    let known: NameEntry | null = null;
    for (const { id } of networks) {
      const entry = this.#networks.get(id)?.names.get(name);
      if (entry === undefined) continue;
      if (entry.stale) this.#refresh(entry);
      if (entry[family].length > 0) return entry;
      known ??= entry;
    }
    return known;
  }

  /** Addresses of the link's target on the networks both share; null where it has none, so that the name may mean something else. */
  #linked(scope: NameScope, networks: NameScope['networks'], name: string): NameEntry | null {
    if (scope.links.size === 0) return null;
    const target = scope.links.get(name);
    const endpoints = target === undefined ? undefined : this.#bySandbox.get(target);
    if (endpoints === undefined) return null;
    const shared = networks.flatMap(({ id }) => [...endpoints].filter(({ networkId }) => networkId === id));
    return shared.length === 0 ? null : { ...addressRecords(shared), turn4: 0, turn6: 0 };
  }

  #refresh(name: SharedName): void {
    Object.assign(name, addressRecords([...name.endpoints].flatMap((id) => this.#endpoints.get(id) ?? [])));
    name.stale = false;
  }
}

function emptyName(): SharedName {
  return { endpoints: new Set(), stale: true, v4: [], v6: [], turn4: 0, turn6: 0 };
}

function addressRecords(endpoints: readonly DnsEndpoint[]): Pick<NameEntry, 'v4' | 'v6'> {
  const records = (addresses: readonly string[], type: number) =>
    addresses.filter((address) => address !== '').map((address) => ({ type, data: ipToBytes(address) }));
  return {
    v4: records(
      endpoints.map(({ ipv4 }) => ipv4),
      typeA,
    ),
    v6: records(
      endpoints.map(({ ipv6 }) => ipv6),
      typeAaaa,
    ),
  };
}

function reverseNames({ ipv4, ipv6 }: DnsEndpoint): readonly string[] {
  return [ipv4, ipv6].filter((address) => address !== '').map(reverseName);
}

export function reverseName(address: string): string {
  const bytes = ipToBytes(address);
  if (bytes.length === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`;
  return `${[...bytes.toString('hex')].reverse().join('.')}.ip6.arpa`;
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const there = map.get(key);
  if (there !== undefined) return there;
  const made = make();
  map.set(key, made);
  return made;
}
