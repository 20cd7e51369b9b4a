/** Host ports for `-p 80` and `-P`: the kernel's own ephemeral range, one after the other, so that a port that was just given back rests a while. */
import { readFileSync } from 'node:fs';

const fallback: readonly [number, number] = [32768, 60999];

export class EphemeralPorts {
  readonly #read: () => string;
  #next = 0;

  constructor(read: () => string = () => readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')) {
    this.#read = read;
  }

  /** Each port of the range once, beginning after the last one that was asked for. */
  *candidates(): Generator<number> {
    const [first, last] = this.#range();
    const count = last - first + 1;
    const start = this.#next >= first && this.#next <= last ? this.#next - first : 0;
    for (let step = 0; step < count; step++) {
      const port = first + ((start + step) % count);
      this.#next = port + 1;
      yield port;
    }
  }

  #range(): readonly [number, number] {
    try {
      const [first = 0, last = 0] = this.#read().trim().split(/\s+/).map(Number);
      return first > 0 && last >= first && last <= 65535 ? [first, last] : fallback;
    } catch {
      return fallback;
    }
  }
}
