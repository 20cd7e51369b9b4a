/**
 * Netlink messages and their attributes, both ways. Pure: bytes in, bytes out.
 *
 *     message     u32 length (with header) | u16 type | u16 flags | u32 sequence | u32 port | payload, padded to 4
 *     attribute   u16 length (with header, without padding) | u16 type | value, padded to 4
 *
 * Headers are in the host's byte order, which is little endian on both of our architectures. Bytes from outside are never trusted: a length that
 * does not fit is an error that names it.
 */
import { EngineError } from '../../base/errors.ts';

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

export const NLA_F_NESTED = 0x8000;
const attributeTypeMask = 0x3fff;

export const messageHeaderLength = 16;
const attributeHeaderLength = 4;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

export interface Attribute {
  readonly type: number;
  readonly value: Buffer;
}

/** Writes attributes one after another. `prefix` is the fixed header of the family (`struct ifinfomsg`, `struct nfgenmsg`) that stands before them. */
export class AttributeWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(prefix?: Uint8Array) {
    this.#bytes = Buffer.alloc(256);
    if (prefix) this.raw(prefix);
  }

  u8(type: number, value: number): this {
    const at = this.#attribute(type, 1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#bytes.writeUInt16LE(value, at);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#bytes.writeUInt32LE(value, at);
    return this;
  }

  u64(type: number, value: bigint): this {
    const at = this.#attribute(type, 8);
    this.#bytes.writeBigUInt64LE(value, at);
    return this;
  }

  u16be(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#bytes.writeUInt16BE(value, at);
    return this;
  }

  u32be(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  u64be(type: number, value: bigint): this {
    const at = this.#attribute(type, 8);
    this.#bytes.writeBigUInt64BE(value, at);
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** NUL terminated. */
  text(type: number, value: string): this {
    return this.bytes(type, Buffer.from(`${value}\0`));
  }

  /** Without a value: that it is there is what it says. */
  flag(type: number): this {
    this.#attribute(type, 0);
    return this;
  }

  nested(type: number, fill: (inner: this) => void): this {
    const start = this.#length;
    this.#attribute(type | NLA_F_NESTED, 0);
    fill(this);
    const length = this.#length - start;
    if (length > 0xffff) throw new EngineError('system', `netlink attribute ${type} is too long: ${length} bytes`);
    this.#bytes.writeUInt16LE(length, start);
    return this;
  }

  /** Bytes as they are, padded to 4: a fixed header inside a nested attribute. */
  raw(bytes: Uint8Array): this {
    const start = this.#length;
    this.#reserve(aligned(bytes.length));
    this.#bytes.set(bytes, start);
    return this;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Returns where the value goes; `#bytes` may be another buffer afterwards. All of it is zero until written, so padding is too. */
  #attribute(type: number, valueLength: number): number {
    const length = attributeHeaderLength + valueLength;
    if (length > 0xffff) throw new EngineError('system', `netlink attribute ${type & attributeTypeMask} is too long: ${length} bytes`);
    const start = this.#length;
    this.#reserve(aligned(length));
    this.#bytes.writeUInt16LE(length, start);
    this.#bytes.writeUInt16LE(type, start + 2);
    return start + attributeHeaderLength;
  }

  #reserve(length: number): void {
    const end = this.#length + length;
    if (end > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#length = end;
  }
}

export function encodeMessage(type: number, flags: number, sequence: number, payload: Uint8Array): Buffer {
  const length = messageHeaderLength + payload.length;
  const message = Buffer.alloc(aligned(length));
  message.writeUInt32LE(length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  message.set(payload, messageHeaderLength);
  return message;
}

/** All messages of one datagram. The payloads are views of `bytes`. */
export function parseMessages(bytes: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < messageHeaderLength) throw malformed(`a message header is cut off at byte ${at} of ${bytes.length}`);
    const length = bytes.readUInt32LE(at);
    if (length < messageHeaderLength || length > bytes.length - at) {
      throw malformed(`the message at byte ${at} of ${bytes.length} claims to be ${length} bytes long`);
    }
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      payload: bytes.subarray(at + messageHeaderLength, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

/** In the order they stand; the same type may come again (lists of nftables). Types without their flags. */
export function listAttributes(bytes: Buffer): Attribute[] {
  const attributes: Attribute[] = [];
  for (let at = 0; bytes.length - at >= attributeHeaderLength; ) {
    const length = bytes.readUInt16LE(at);
    if (length < attributeHeaderLength || length > bytes.length - at) {
      throw malformed(`the attribute at byte ${at} of ${bytes.length} claims to be ${length} bytes long`);
    }
    const type = bytes.readUInt16LE(at + 2) & attributeTypeMask;
    attributes.push({ type, value: bytes.subarray(at + attributeHeaderLength, at + length) });
    at += aligned(length);
  }
  return attributes;
}

/** By type; of several with the same type the last. */
export function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  return new Map(listAttributes(bytes).map(({ type, value }) => [type, value]));
}

/** Text up to its NUL. */
export function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end === -1 ? value.length : end);
}

/** A number of 1, 2, 4 or 8 bytes in host order; a value of another length is an error. */
export function numberOf(value: Buffer): number {
  switch (value.length) {
    case 1:
      return value.readUInt8();
    case 2:
      return value.readUInt16LE();
    case 4:
      return value.readUInt32LE();
    case 8:
      return Number(value.readBigUInt64LE());
    default:
      throw malformed(`a number of ${value.length} bytes`);
  }
}

/** As `numberOf`, in network order. */
export function numberOfBigEndian(value: Buffer): number {
  return numberOf(Buffer.from(value).reverse());
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function malformed(what: string): EngineError {
  return new EngineError('system', `malformed netlink data: ${what}`);
}
