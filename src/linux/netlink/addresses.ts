/**
 * IP addresses of interfaces by rtnetlink.
 *
 *     struct ifaddrmsg   u8 family | u8 prefix length | u8 flags | u8 scope | u32 index of the interface
 */
import { bytesToIp, ipToBytes } from '../../base/ip-bytes.ts';
import { AttributeWriter, NLM_F_CREATE, NLM_F_REPLACE, parseAttributes } from './message.ts';
import type { BatchMessage, NetlinkSocket } from './netlink-socket.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 2;

const AF_INET = 2;
const AF_INET6 = 10;
const headerLength = 8;
export const scopeGlobal = 0;
export const scopeLink = 253;

export interface InterfaceAddress {
  /** Interface. */
  readonly index: number;
  readonly address: string;
  readonly prefix: number;
  readonly scope: number;
}

/** Adds it, or leaves it as it is. IPv6 without duplicate address detection: it would be unusable for 1.5 s. */
export function addAddress({ index, address, prefix, scope }: InterfaceAddress): BatchMessage {
  const bytes = ipToBytes(address);
  const writer = new AttributeWriter(header(bytes.length, prefix, scope, index)).bytes(IFA_LOCAL, bytes).bytes(IFA_ADDRESS, bytes);
  if (bytes.length === 4) {
    if (prefix < 31) writer.bytes(IFA_BROADCAST, broadcastOf(bytes, prefix));
  } else {
    writer.u32(IFA_FLAGS, IFA_F_NODAD);
  }
  return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: writer.finish() };
}

export function deleteAddress({ index, address, prefix, scope }: InterfaceAddress): BatchMessage {
  const bytes = ipToBytes(address);
  const payload = new AttributeWriter(header(bytes.length, prefix, scope, index))
    .bytes(IFA_LOCAL, bytes)
    .bytes(IFA_ADDRESS, bytes)
    .finish();
  return { type: RTM_DELADDR, flags: 0, payload };
}

/** Of both families, of every interface or of one. */
export function listAddresses(socket: NetlinkSocket, index = 0): InterfaceAddress[] {
  return socket.dump(RTM_GETADDR, header(0, 0, 0, index), 'list addresses').flatMap((payload) => parseAddress(payload) ?? []);
}

export function parseAddress(payload: Buffer): InterfaceAddress | null {
  const family = payload.readUInt8(0);
  const attributes = parseAttributes(payload.subarray(headerLength));
  // On a point-to-point link IFA_ADDRESS is the other end.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if ((family !== AF_INET && family !== AF_INET6) || bytes?.length !== (family === AF_INET ? 4 : 16)) return null;
  return { index: payload.readUInt32LE(4), address: bytesToIp(bytes), prefix: payload.readUInt8(1), scope: payload.readUInt8(3) };
}

function header(addressLength: number, prefix: number, scope: number, index: number): Buffer {
  const bytes = Buffer.alloc(headerLength);
  bytes.writeUInt8(addressLength === 4 ? AF_INET : addressLength === 16 ? AF_INET6 : 0, 0);
  bytes.writeUInt8(prefix, 1);
  bytes.writeUInt8(scope, 3);
  bytes.writeUInt32LE(index, 4);
  return bytes;
}

function broadcastOf(address: Buffer, prefix: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((address.readUInt32BE(0) | (0xffffffff >>> prefix)) >>> 0);
  return bytes;
}
