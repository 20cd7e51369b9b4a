/**
 * Assembles a classic BPF program from its end to its beginning.
 *
 * Classic BPF jumps only forward and, when conditional, at most 255 instructions. Building backwards makes every target known when the jump to it is emitted; one
 * that is too far gets a `ret` of its own, or an unconditional jump (32 bits wide) just behind it.
 *
 *   struct sock_filter { u16 code; u8 jt; u8 jf; u32 k }   8 bytes, little endian on both architectures
 */
import { invalid } from '../../base/errors.ts';

export const maximumInstructions = 4096;
const reach = 255;

export const opcodes = {
  /** A = word at offset k of seccomp_data. */
  load: 0x20,
  /** A &= k. */
  and: 0x54,
  jump: 0x05,
  jumpEqual: 0x15,
  jumpGreater: 0x25,
  jumpGreaterOrEqual: 0x35,
  return: 0x06,
} as const;

/** Where a jump leads: an answer, or code that was emitted before. */
export type Target = { readonly kind: 'return'; readonly value: number } | { readonly kind: 'code'; readonly position: number };

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export class BpfProgram {
  /** Last instruction of the program first. */
  readonly #reversed: Instruction[] = [];
  readonly #returns = new Map<number, number>();

  return(value: number): Target {
    return { kind: 'return', value };
  }

  /** `if (A <comparison> k) then onTrue else onFalse`. */
  branch(code: 0x15 | 0x25 | 0x35, k: number, onTrue: Target, onFalse: Target): Target {
    // Making the second target near may push one instruction, which moves the first one away by one.
    const truePosition = this.#near(onTrue, reach - 1);
    const falsePosition = this.#near(onFalse, reach);
    return this.#push({ code, jt: this.#distance(truePosition), jf: this.#distance(falsePosition), k });
  }

  load(offset: number, next: Target): Target {
    return this.#before(next, opcodes.load, offset);
  }

  and(mask: number, next: Target): Target {
    return this.#before(next, opcodes.and, mask);
  }

  /** The program that starts at `entry`. */
  finish(entry: Target): Uint8Array<ArrayBuffer> {
    this.#follow(entry);
    const count = this.#reversed.length;
    if (count > maximumInstructions) {
      throw invalid(
        `Cannot compile the seccomp profile: it needs ${count} instructions and the kernel takes ${maximumInstructions}. Use fewer rules with arguments, or list fewer architectures.`,
      );
    }
    const bytes = new Uint8Array(count * 8);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < count; at++) {
      const instruction = this.#reversed[count - 1 - at];
      if (instruction === undefined) break;
      view.setUint16(at * 8, instruction.code, true);
      view.setUint8(at * 8 + 2, instruction.jt);
      view.setUint8(at * 8 + 3, instruction.jf);
      view.setUint32(at * 8 + 4, instruction.k, true);
    }
    return bytes;
  }

  /** An instruction that falls through to `next`. */
  #before(next: Target, code: number, k: number): Target {
    this.#follow(next);
    return this.#push({ code, jt: 0, jf: 0, k });
  }

  /** Makes `target` the instruction that the one to be pushed falls through to. */
  #follow(target: Target): void {
    if (target.kind === 'return') this.#pushReturn(target.value);
    else if (target.position !== this.#reversed.length - 1) {
      this.#push({ code: opcodes.jump, jt: 0, jf: 0, k: this.#distance(target.position) });
    }
  }

  /** A position that leads to `target` and is at most `limit` away from the next instruction. */
  #near(target: Target, limit: number): number {
    const known = target.kind === 'return' ? this.#returns.get(target.value) : target.position;
    if (known !== undefined && this.#distance(known) <= limit) return known;
    if (target.kind === 'return') return this.#pushReturn(target.value);
    this.#follow(target);
    return this.#reversed.length - 1;
  }

  #pushReturn(value: number): number {
    this.#push({ code: opcodes.return, jt: 0, jf: 0, k: value });
    const position = this.#reversed.length - 1;
    this.#returns.set(value, position);
    return position;
  }

  /** Instructions between the next one to be pushed and `position`. */
  #distance(position: number): number {
    return this.#reversed.length - position - 1;
  }

  #push(instruction: Instruction): Target {
    this.#reversed.push(instruction);
    return { kind: 'code', position: this.#reversed.length - 1 };
  }
}
