/**
 * The words that rules are made of, so that a table in TypeScript reads like nft's own text:
 *
 *     rule(notMatch(iifname, interfaceName('lo')), matchLeadingBytes(ipDaddr, 127), drop)        iifname != "lo" ip daddr 127.0.0.0/8 drop
 *
 * A statement becomes expressions of the kernel's virtual machine: load a field of the packet into a register, compare the register, act. Registers are
 * 16 of 4 bytes each; a concatenated key lies in several of them one after another, each part padded to 4 bytes. Numbers of packets are in network
 * order, those of the kernel (marks, connection states) in host order.
 */
import type { AttributeWriter } from '../netlink/message.ts';

export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NFT_JUMP = -3;
export const NFT_GOTO = -4;
export const NFT_RETURN = -5;

/** Types of nft, for set definitions: its number (so that `nft list` can print elements) and its length. */
export const fieldTypes = {
  ipv4_addr: { id: 7, bytes: 4 },
  ipv6_addr: { id: 8, bytes: 16 },
  inet_proto: { id: 12, bytes: 1 },
  inet_service: { id: 13, bytes: 2 },
  icmpv6_type: { id: 29, bytes: 1 },
  ifname: { id: 41, bytes: 16 },
} as const;
export type FieldType = keyof typeof fieldTypes;

export interface Expression {
  readonly name: string;
  /** Its attributes (NFTA_EXPR_DATA). */
  write(data: AttributeWriter): void;
}

export interface Verdict {
  readonly code: number;
  /** Of jump and goto; else ''. */
  readonly chain: string;
}

/** A set that belongs to one rule. */
export interface AnonymousSet {
  readonly type: FieldType;
  readonly values: readonly Uint8Array[];
}

/** `setId` numbers the anonymous set of this statement within the batch. */
export interface Statement {
  /** The statement looks at a header of this family only. */
  readonly family?: 'ip' | 'ip6';
  readonly anonymousSet?: AnonymousSet;
  expressions(setId: number): readonly Expression[];
}

export interface Selector {
  readonly bytes: number;
  readonly family?: 'ip' | 'ip6';
  load(register: number): Expression;
}

export interface AddressField extends Selector {
  readonly family: 'ip' | 'ip6';
  readonly offset: number;
}

const firstRegister = 8;
const verdictRegister = 0;
const registerBytes = 4;

// --- what can be looked at -------------------------------------------------------------------------------------------------------------------

export const nfproto: Selector = { bytes: 1, load: (register) => metaLoad(15, register) };
export const l4proto: Selector = { bytes: 1, load: (register) => metaLoad(16, register) };
export const iifname: Selector = { bytes: 16, load: (register) => metaLoad(6, register) };
export const oifname: Selector = { bytes: 16, load: (register) => metaLoad(7, register) };
export const metaMark: Selector = { bytes: 4, load: (register) => metaLoad(3, register) };
const ctState: Selector = { bytes: 4, load: (register) => ctLoad(0, register) };
const ctStatus: Selector = { bytes: 4, load: (register) => ctLoad(2, register) };
export const ipSaddr = addressField('ip', 12);
export const ipDaddr = addressField('ip', 16);
export const ip6Saddr = addressField('ip6', 8);
export const ip6Daddr = addressField('ip6', 24);
/** Port of TCP, UDP and SCTP alike: they have it in the same place. */
export const thDport: Selector = { bytes: 2, load: (register) => payloadLoad('transport', 2, 2, register) };
const icmpv6TypeField: Selector = { bytes: 1, load: (register) => payloadLoad('transport', 0, 1, register) };
/** Whether the destination is an address of this host; `fib daddr type`. */
const fibDaddrType: Selector = {
  bytes: 4,
  load: (register) => ({ name: 'fib', write: (data) => data.u32be(1, register).u32be(2, 3).u32be(3, 2) }),
};

// --- values ----------------------------------------------------------------------------------------------------------------------------------

/** Name of an interface, as the kernel compares it. */
export function interfaceName(text: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(text, 0, 15, 'utf8');
  return bytes;
}

export const protocolNumbers = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

export function protocol(name: keyof typeof protocolNumbers): Buffer {
  return Buffer.from([protocolNumbers[name]]);
}

export function port(number: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(number);
  return bytes;
}

// --- conditions ------------------------------------------------------------------------------------------------------------------------------

export function match(selector: Selector, value: Uint8Array): Statement {
  return condition(selector, [compare(firstRegister, 'equal', value)]);
}

export function notMatch(selector: Selector, value: Uint8Array): Statement {
  return condition(selector, [compare(firstRegister, 'not-equal', value)]);
}

/** A prefix of whole bytes: 127 is 127.0.0.0/8. */
export function matchLeadingBytes(field: AddressField, ...bytes: readonly number[]): Statement {
  const load = payloadLoad('network', field.offset, bytes.length, firstRegister);
  return { family: field.family, expressions: () => [load, compare(firstRegister, 'equal', Buffer.from(bytes))] };
}

export function matchAny(selector: Selector, type: FieldType, values: readonly Uint8Array[]): Statement {
  return {
    ...familyOf(selector),
    anonymousSet: { type, values },
    expressions: (setId) => [selector.load(firstRegister), lookup(anonymousSetName, { source: firstRegister, setId })],
  };
}

/** The fields, concatenated, are an element of a set. */
export function inSet(selectors: readonly Selector[], set: string): Statement {
  return keyed(selectors, () => [lookup(set, { source: firstRegister })]);
}

export function notInSet(selectors: readonly Selector[], set: string): Statement {
  return keyed(selectors, () => [lookup(set, { source: firstRegister, inverted: true })]);
}

const stateBits = { established: 2, related: 4 } as const;

export function connectionState(...states: readonly (keyof typeof stateBits)[]): Statement {
  return anyBit(
    ctState,
    states.reduce((bits, state) => bits | stateBits[state], 0),
  );
}

/** `ct status dnat`: the destination of this connection was rewritten. */
export const connectionIsDnat: Statement = anyBit(ctStatus, 0x20);

export const toThisHost: Statement = condition(fibDaddrType, [compare(firstRegister, 'equal', hostOrder(2))]);

export function matchFamily(family: 'ip' | 'ip6'): Statement {
  return match(nfproto, Buffer.from([family === 'ip' ? NFPROTO_IPV4 : NFPROTO_IPV6]));
}

export function icmpv6Types(...types: readonly number[]): Statement {
  return matchAny(
    icmpv6TypeField,
    'icmpv6_type',
    types.map((type) => Buffer.from([type])),
  );
}

/** `meta mark and MASK == VALUE`. */
export function markIs(value: number, mask: number): Statement {
  return condition(metaMark, [bitwise(hostOrder(mask), hostOrder(0)), compare(firstRegister, 'equal', hostOrder(value))]);
}

// --- what to do ------------------------------------------------------------------------------------------------------------------------------

export const accept: Statement = verdict({ code: NF_ACCEPT, chain: '' });
export const drop: Statement = verdict({ code: NF_DROP, chain: '' });

/** `return`: back to the rule after the jump. */
export const goBack: Statement = verdict({ code: NFT_RETURN, chain: '' });

export function jump(chain: string): Statement {
  return verdict({ code: NFT_JUMP, chain });
}

export function goto(chain: string): Statement {
  return verdict({ code: NFT_GOTO, chain });
}

/** `a . b vmap @map`: goes on with the next rule when the key is not there. */
export function verdictMap(selectors: readonly Selector[], map: string): Statement {
  return keyed(selectors, () => [lookup(map, { source: firstRegister, destination: verdictRegister })]);
}

/** `dnat ip to KEY map @map`: the map's data is address . port. */
export function dnatByMap(family: 'ip' | 'ip6', selectors: readonly Selector[], map: string): Statement {
  return {
    family,
    expressions: () => [...loadKey(selectors), lookup(map, { source: firstRegister, destination: firstRegister }), dnat(family)],
  };
}

/** `snat ip to KEY map @map`: the map's data is an address. */
export function snatByMap(family: 'ip' | 'ip6', selectors: readonly Selector[], map: string): Statement {
  const number = family === 'ip' ? NFPROTO_IPV4 : NFPROTO_IPV6;
  const snat: Expression = { name: 'nat', write: (data) => data.u32be(1, 0).u32be(2, number).u32be(3, firstRegister) };
  return {
    family,
    expressions: () => [...loadKey(selectors), lookup(map, { source: firstRegister, destination: firstRegister }), snat],
  };
}

export const masquerade: Statement = { expressions: () => [{ name: 'masq', write: () => {} }] };

/** `dnat to ADDRESS:PORT` in a table of one family. */
export function dnatTo(family: 'ip' | 'ip6', address: Uint8Array, toPort: number): Statement {
  return {
    expressions: () => [immediate(firstRegister, address), immediate(portRegister(family), port(toPort)), dnat(family)],
  };
}

/** Sets the bits of `mask` in the packet's mark to `value` and leaves the others. */
export function setMarkBits(value: number, mask: number): Statement {
  return {
    expressions: () => [
      metaMark.load(firstRegister),
      bitwise(hostOrder(~mask), hostOrder(value)),
      { name: 'meta', write: (data) => data.u32be(2, 3).u32be(3, firstRegister) },
    ],
  };
}

// --- expressions of the kernel ---------------------------------------------------------------------------------------------------------------

export const anonymousSetName = '__set%d';

/** NFTA_DATA_VALUE, or NFTA_DATA_VERDICT { code, chain }. */
export function writeData(data: AttributeWriter, attribute: number, value: Uint8Array | Verdict): void {
  data.nested(attribute, (inner) => {
    if (value instanceof Uint8Array) inner.bytes(1, value);
    else {
      inner.nested(2, (fields) => {
        fields.u32be(1, value.code >>> 0);
        if (value.chain !== '') fields.text(2, value.chain);
      });
    }
  });
}

function verdict(value: Verdict): Statement {
  return { expressions: () => [immediate(verdictRegister, value)] };
}

function condition(selector: Selector, tests: readonly Expression[]): Statement {
  return { ...familyOf(selector), expressions: () => [selector.load(firstRegister), ...tests] };
}

function keyed(selectors: readonly Selector[], use: () => readonly Expression[]): Statement {
  const specific = selectors.find(({ family }) => family !== undefined);
  return { ...(specific ? familyOf(specific) : {}), expressions: () => [...loadKey(selectors), ...use()] };
}

function loadKey(selectors: readonly Selector[]): Expression[] {
  let register = firstRegister;
  return selectors.map((selector) => {
    const expression = selector.load(register);
    register += Math.ceil(selector.bytes / registerBytes);
    return expression;
  });
}

function familyOf({ family }: Selector): { family?: 'ip' | 'ip6' } {
  return family === undefined ? {} : { family };
}

function anyBit(selector: Selector, bits: number): Statement {
  return condition(selector, [bitwise(hostOrder(bits), hostOrder(0)), compare(firstRegister, 'not-equal', hostOrder(0))]);
}

function metaLoad(key: number, register: number): Expression {
  return { name: 'meta', write: (data) => data.u32be(1, register).u32be(2, key) };
}

function ctLoad(key: number, register: number): Expression {
  return { name: 'ct', write: (data) => data.u32be(1, register).u32be(2, key) };
}

function addressField(family: 'ip' | 'ip6', offset: number): AddressField {
  const bytes = family === 'ip' ? 4 : 16;
  return { bytes, family, offset, load: (register) => payloadLoad('network', offset, bytes, register) };
}

function payloadLoad(base: 'network' | 'transport', offset: number, length: number, register: number): Expression {
  const number = base === 'network' ? 1 : 2;
  return { name: 'payload', write: (data) => data.u32be(1, register).u32be(2, number).u32be(3, offset).u32be(4, length) };
}

function compare(register: number, operator: 'equal' | 'not-equal', value: Uint8Array): Expression {
  return {
    name: 'cmp',
    write: (data) => writeData(data.u32be(1, register).u32be(2, operator === 'equal' ? 0 : 1), 3, value),
  };
}

/** register = register & mask ^ xor */
function bitwise(mask: Uint8Array, xor: Uint8Array): Expression {
  return {
    name: 'bitwise',
    write: (data) => {
      data.u32be(1, firstRegister).u32be(2, firstRegister).u32be(3, mask.length);
      writeData(data, 4, mask);
      writeData(data, 5, xor);
    },
  };
}

interface LookupOptions {
  readonly source: number;
  readonly destination?: number;
  readonly setId?: number;
  readonly inverted?: boolean;
}

function lookup(set: string, { source, destination, setId, inverted }: LookupOptions): Expression {
  return {
    name: 'lookup',
    write: (data) => {
      data.text(1, set).u32be(2, source);
      if (destination !== undefined) data.u32be(3, destination);
      if (setId !== undefined) data.u32be(4, setId);
      if (inverted) data.u32be(5, 1);
    },
  };
}

function immediate(register: number, value: Uint8Array | Verdict): Expression {
  return { name: 'immediate', write: (data) => writeData(data.u32be(1, register), 2, value) };
}

/** Address in the first register, port after it. */
function dnat(family: 'ip' | 'ip6'): Expression {
  const number = family === 'ip' ? NFPROTO_IPV4 : NFPROTO_IPV6;
  return { name: 'nat', write: (data) => data.u32be(1, 1).u32be(2, number).u32be(3, firstRegister).u32be(5, portRegister(family)) };
}

function portRegister(family: 'ip' | 'ip6'): number {
  return firstRegister + (family === 'ip' ? 1 : 4);
}

function hostOrder(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
