/**
 * All networks by id and name, each with the addresses it has given away.
 *
 * A name and a subnet are taken from the moment a creation begins, and until a removal is done; only what is `ready` can be found. A container is a member
 * from before its address is chosen, so that nobody removes the network under it.
 */
import type { ContainerId } from '../base/brand.ts';
import { conflict, invalid, notFound } from '../base/errors.ts';
import { AddressRange } from './address-range.ts';
import { type Address, parseAddress, parseSubnet, type Subnet } from './ip-address.ts';
import type { NetworkRecord, NetworkSubnet } from './network-record.ts';

export interface Network {
  readonly record: NetworkRecord;
  readonly ranges: { readonly v4: AddressRange | null; readonly v6: AddressRange | null };
  /** Container → its name. */
  readonly members: Map<ContainerId, string>;
  readonly state: 'creating' | 'ready' | 'removing';
}

export class NetworkRegistry {
  readonly #byId = new Map<string, Network>();
  readonly #names = new Map<string, string>();

  /** In the order of their creation. */
  all(): readonly Network[] {
    return [...this.#byId.values()].filter(({ state }) => state === 'ready');
  }

  /** Everything that takes a subnet or a name, also what is just being made or removed. */
  every(): IterableIterator<Network> {
    return this.#byId.values();
  }

  get(id: string): Network | undefined {
    return this.#byId.get(id);
  }

  /** Throws Docker's conflict when the name is taken. */
  refuseTakenName(name: string): void {
    if (this.#names.has(name)) throw conflict(`network with name ${name} already exists`);
  }

  add(record: NetworkRecord, state: Network['state']): Network {
    this.refuseTakenName(record.name);
    const network = { record, ranges: rangesOf(record), members: new Map<ContainerId, string>(), state };
    this.#byId.set(record.id, network);
    this.#names.set(record.name, record.id);
    return network;
  }

  setState(id: string, state: Network['state']): void {
    const network = this.#byId.get(id);
    if (network !== undefined) this.#byId.set(id, { ...network, state });
  }

  delete(id: string): void {
    const network = this.#byId.get(id);
    if (network === undefined) return;
    this.#byId.delete(id);
    this.#names.delete(network.record.name);
  }

  /** A full id, a name, or a prefix that only one id has. `default` is what containers without a network get. */
  find(reference: string): Network | null {
    const name = reference === 'default' ? 'bridge' : reference;
    const exact = this.#ready(reference) ?? this.#ready(this.#names.get(name) ?? '');
    if (exact !== null) return exact;
    const matches = /^[0-9a-f]+$/.test(reference) ? this.all().filter(({ record }) => record.id.startsWith(reference)) : [];
    if (matches.length > 1) throw invalid(`network ${reference} is ambiguous (${matches.length} matches found on ID prefix)`);
    return matches[0] ?? null;
  }

  resolve(reference: string): Network {
    const found = this.find(reference);
    if (found === null) throw notFound(`network ${reference} not found`);
    return found;
  }

  #ready(id: string): Network | null {
    const network = this.#byId.get(id);
    return network?.state === 'ready' ? network : null;
  }
}

function rangesOf({ v4, v6, configOnly }: NetworkRecord): Network['ranges'] {
  const rangeOf = (subnet: NetworkSubnet | null) => (subnet === null || configOnly ? null : new AddressRange(rangeOptions(subnet)));
  return { v4: rangeOf(v4), v6: rangeOf(v6) };
}

function rangeOptions({ subnet, range, gateway, router, auxiliary }: NetworkSubnet) {
  return {
    subnet: storedSubnet(subnet),
    range: range === null ? null : storedSubnet(range),
    reserved: [gateway, router, ...Object.values(auxiliary)].filter((text) => text !== '').map(storedAddress),
  };
}

/** Of a record: it was checked before it was stored. */
export function storedSubnet(text: string): Subnet {
  const subnet = parseSubnet(text);
  if (subnet === null) throw new Error(`a stored network has the subnet ${JSON.stringify(text)}, which is none`);
  return subnet;
}

export function storedAddress(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(`a stored network has the address ${JSON.stringify(text)}, which is none`);
  return address;
}
