/**
 * The addresses of one subnet: who is given which.
 *
 * Next-fit: a released address comes back only after all others were given, because for a while neighbours and connection tracking still connect it
 * with its last owner. Invariants: no address has two owners; what is reserved (network, broadcast, gateway, auxiliary addresses) is never given.
 */
import { type Address, contains, type Family, lastOf, type Subnet, unusableHost } from './ip-address.ts';

export interface AddressRangeOptions {
  readonly subnet: Subnet;
  /** `--ip-range`: where free ones are looked for; a fixed address may be anywhere in the subnet. */
  readonly range: Subnet | null;
  readonly reserved: readonly Address[];
}

export class AddressRange {
  readonly subnet: Subnet;
  readonly #first: bigint;
  readonly #last: bigint;
  readonly #reserved: ReadonlySet<bigint>;
  readonly #owned = new Set<bigint>();
  #next: bigint;

  constructor({ subnet, range, reserved }: AddressRangeOptions) {
    this.subnet = subnet;
    this.#first = (range ?? subnet).base;
    this.#last = lastOf(range ?? subnet);
    this.#reserved = new Set(reserved.map(({ value }) => value));
    this.#next = this.#first;
  }

  get family(): Family {
    return this.subnet.family;
  }

  /** Null when all are given. */
  takeNext(): Address | null {
    const end = this.#last - this.#first + 1n;
    for (let step = 0n; step < end; step++) {
      const value = this.#first + ((this.#next - this.#first + step) % end);
      if (this.#isTaken(value)) continue;
      this.#owned.add(value);
      this.#next = value === this.#last ? this.#first : value + 1n;
      return { family: this.family, value };
    }
    return null;
  }

  /** False when somebody has it, it is reserved or lies outside. */
  take(address: Address): boolean {
    if (!contains(this.subnet, address) || this.#isTaken(address.value)) return false;
    this.#owned.add(address.value);
    return true;
  }

  release(address: Address): void {
    this.#owned.delete(address.value);
  }

  get ownedCount(): number {
    return this.#owned.size;
  }

  #isTaken(value: bigint): boolean {
    return this.#reserved.has(value) || this.#owned.has(value) || unusableHost(this.subnet, { family: this.family, value });
  }
}

/** The first address that can be one: what Docker takes as gateway when none is named. */
export function firstUsable(options: AddressRangeOptions): Address | null {
  return new AddressRange(options).takeNext();
}
