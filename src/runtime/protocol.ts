/**
 * The monitor protocol, the daemon's half. `native/protocol.h` is the other one; `protocol.test.ts` compares the two.
 *
 * A frame, little endian:     0        4      6      8            12
 *                             | length | type | zero | request id | payload (length bytes, <= maxFrameBytes) ...
 * A reply repeats the request id; an event has 0. A text is u32 length, bytes, NUL (not counted).
 * The payload of a connection's first frame begins with u32 `protocolVersion` of its sender.
 *
 *   <exec-root>/launcher.sock          HELLO ▶ HELLO_OK, then AWAIT_GONE ▶ OK, DRAIN ▶ OK        the standing connection
 *     n times PARK, once START  ▶      ATTACHED on each of the n; STARTED or START_FAILED       one round trip for a start
 *                                      PAUSED at a checkpoint, then GO_ON ▶ STARTED or START_FAILED
 *   <exec-root>/m/<16 hex digits>      CONTROL ▶ STATUS, then requests ▶ OK or ERROR; LOG, EXEC_EXIT, EXITED come as events
 *                                      KEEP ▶ KEPT or ERROR
 *                                      ATTACH ▶ ATTACHED, EXEC ▶ EXEC_STARTED or START_FAILED; raw stdio from there
 *
 * The drawing in the header tells the order of things.
 */
import { EngineError } from '../base/errors.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';

/** 2: kept descriptors. */
export const protocolVersion = 2;
export const frameHeaderBytes = 12;
export const maxFrameBytes = 4194304;
export const maxAttachments = 16;

export const message = {
  hello: 1,
  helloOk: 2,
  drain: 3,
  awaitGone: 4,
  park: 10,
  start: 11,
  started: 12,
  startFailed: 13,
  paused: 14,
  goOn: 15,
  control: 20,
  status: 21,
  kill: 22,
  resize: 23,
  closeStdin: 24,
  execAck: 25,
  release: 26,
  keep: 27,
  kept: 28,
  attach: 30,
  attached: 31,
  exec: 32,
  execStarted: 33,
  log: 40,
  execExit: 41,
  exited: 42,
  ok: 50,
  error: 51,
} as const;

export const attachFlag = { stdin: 1, stdout: 2, stderr: 4 } as const;
export const stdinMode = { null: 0, once: 1, open: 2 } as const;
/**
 * Where a start failed; the index counts steps or joins. `died`: the child was killed in set-up, the errno is its wait status. `program`: one of an OCI runtime
 * failed with that wait status (index 0: that of the plan, 1: `follow`). `takeover`: it did not end (ETIMEDOUT), or its process could not be taken over.
 */
export const phase = { monitor: 0, before: 1, join: 2, clone: 3, step: 4, died: 5, program: 6, takeover: 7 } as const;
export const setup = { fork: 0, plan: 1, socket: 2, log: 3, pipes: 4, cgroup: 5, keep: 6 } as const;
export const detail = { none: 0, notInPath: 1, lookup: 2, execve: 3, subpath: 4, idmap: 5, hook: 6 } as const;
/** Exit status of gantry-launcher when another one holds the exec root. */
export const exitLockHeld = 75;

export interface Frame {
  readonly type: number;
  readonly request: number;
  readonly payload: PayloadReader;
}

/** Reads a payload field by field; anything beyond its end is an error, never a default. */
export class PayloadReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** A monitor of an older version says less. */
  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u32(): number {
    return this.#take(4).readUInt32LE();
  }

  u64(): bigint {
    return this.#take(8).readBigUInt64LE();
  }

  text(): string {
    const text = this.#take(this.u32()).toString('utf8');
    this.#take(1);
    return text;
  }

  #take(length: number): Buffer {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new EngineError('system', 'a frame of the monitor protocol is shorter than its fields');
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }
}

/** Builds a payload in one growing buffer. */
export class PayloadWriter {
  #bytes = Buffer.alloc(1024);
  #length = 0;

  u8(value: number): this {
    this.#room(1).writeUInt8(value);
    return this;
  }

  u32(value: number): this {
    this.#room(4).writeUInt32LE(value);
    return this;
  }

  u64(value: bigint | number): this {
    this.#room(8).writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
    return this;
  }

  /** A NUL inside would end the text for the kernel, so it is refused here, where it can be named. */
  text(value: string): this {
    if (value.includes('\0')) throw new EngineError('invalid', `a NUL character is not possible in ${JSON.stringify(value.slice(0, 80))}`);
    const bytes = Buffer.from(value, 'utf8');
    this.u32(bytes.length);
    return this.raw(bytes).u8(0);
  }

  texts(values: readonly string[]): this {
    this.u32(values.length);
    for (const value of values) this.text(value);
    return this;
  }

  bytes(value: Uint8Array): this {
    return this.u32(value.length).raw(value);
  }

  raw(value: Uint8Array): this {
    this.#room(value.length).set(value);
    return this;
  }

  descriptors(values: readonly KeptDescriptor[]): this {
    this.u32(values.length);
    for (const { label, fd } of values) this.text(label).u32(fd);
    return this;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(length: number): Buffer {
    const from = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(this.#length * 2);
      this.#bytes.copy(larger, 0, 0, from);
      this.#bytes = larger;
    }
    return this.#bytes.subarray(from, this.#length);
  }
}

export function encodeFrame(type: number, request: number, payload: Uint8Array = new Uint8Array()): Buffer {
  if (payload.length > maxFrameBytes) {
    throw new EngineError(
      'invalid',
      `the request to the monitor has ${payload.length} bytes, more than ${maxFrameBytes}: arguments, environment or mounts are too many`,
    );
  }
  const frame = Buffer.alloc(frameHeaderBytes + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt16LE(type, 4);
  frame.writeUInt32LE(request, 8);
  frame.set(payload, frameHeaderBytes);
  return frame;
}

export interface FrameHeader {
  readonly length: number;
  readonly type: number;
  readonly request: number;
}

export function decodeFrameHeader(bytes: Buffer): FrameHeader {
  const header = { length: bytes.readUInt32LE(0), type: bytes.readUInt16LE(4), request: bytes.readUInt32LE(8) };
  if (header.length > maxFrameBytes || bytes.readUInt16LE(6) !== 0) {
    throw new EngineError('system', 'what came from the monitor is not a frame of its protocol');
  }
  return header;
}
