/**
 * Routes by rtnetlink.
 *
 *     struct rtmsg   u8 family | u8 destination's prefix length | u8 source's | u8 tos | u8 table | u8 protocol | u8 scope | u8 type | u32 flags
 */
import { bytesToIp, ipToBytes } from '../../base/ip-bytes.ts';
import { AttributeWriter, type NetlinkMessage, NLM_F_CREATE, NLM_F_REPLACE, numberOf, parseAttributes } from './message.ts';
import type { BatchMessage, NetlinkSocket } from './netlink-socket.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;

const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;

/** Multicast groups of NETLINK_ROUTE. */
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV6_ROUTE = 11;

export const tableLocal = 255;

const AF_INET = 2;
const AF_INET6 = 10;
const headerLength = 12;

export interface DefaultRoute {
  readonly family: 4 | 6;
  /** Interface. */
  readonly index: number;
  /** '' : everything is on the link itself. */
  readonly gateway: string;
}

export interface Route {
  readonly family: 4 | 6;
  /** Address of the destination; with prefix 0 the default route. */
  readonly destination: string;
  readonly prefix: number;
  readonly table: number;
  /** RTN_UNICAST is 1; local, broadcast, anycast, multicast 2 to 5; blackhole, unreachable, prohibit, throw, nat above. */
  readonly type: number;
  /** Interfaces; more than one with several next hops, none for a blackhole. */
  readonly interfaces: readonly number[];
}

/** Takes the place of the one there is. The gateway need not lie in a subnet of the interface. */
export function setDefaultRoute(route: DefaultRoute): BatchMessage {
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: defaultRoute(route) };
}

export function deleteDefaultRoute(family: 4 | 6): BatchMessage {
  return { type: RTM_DELROUTE, flags: 0, payload: header(family, RT_SCOPE_UNIVERSE) };
}

/** Of every table and both families, the kernel's own (local, broadcast, multicast) too. */
export function listRoutes(socket: NetlinkSocket): Route[] {
  const dumpOf = (family: number): Buffer[] => {
    const request = Buffer.alloc(headerLength);
    request.writeUInt8(family, 0);
    return socket.dump(RTM_GETROUTE, request, 'list routes');
  };
  return [AF_INET, AF_INET6].flatMap(dumpOf).flatMap((payload) => parseRoute(payload) ?? []);
}

/** Null: the notice is another. */
export function addedRoute(notice: NetlinkMessage): Route | null {
  return notice.type === RTM_NEWROUTE ? parseRoute(notice.payload) : null;
}

export function parseRoute(payload: Buffer): Route | null {
  const family = payload.readUInt8(0);
  if (family !== AF_INET && family !== AF_INET6) return null;
  const attributes = parseAttributes(payload.subarray(headerLength));
  const table = attributes.get(RTA_TABLE);
  const output = attributes.get(RTA_OIF);
  return {
    family: family === AF_INET ? 4 : 6,
    destination: bytesToIp(attributes.get(RTA_DST) ?? Buffer.alloc(family === AF_INET ? 4 : 16)),
    prefix: payload.readUInt8(1),
    table: table ? numberOf(table) : payload.readUInt8(4),
    type: payload.readUInt8(7),
    interfaces: output ? [numberOf(output)] : nextHops(attributes.get(RTA_MULTIPATH) ?? Buffer.alloc(0)),
  };
}

/** struct rtnexthop: u16 length (with its attributes) | u8 flags | u8 hops | i32 interface. */
function nextHops(bytes: Buffer): number[] {
  const interfaces: number[] = [];
  for (let at = 0; bytes.length - at >= 8; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 8) break;
    interfaces.push(bytes.readInt32LE(at + 4));
    at += (length + 3) & ~3;
  }
  return interfaces;
}

function defaultRoute({ family, index, gateway }: DefaultRoute): Buffer {
  if (gateway === '')
    return new AttributeWriter(header(family, family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE)).u32(RTA_OIF, index).finish();
  return new AttributeWriter(header(family, RT_SCOPE_UNIVERSE, RTNH_F_ONLINK))
    .bytes(RTA_GATEWAY, ipToBytes(gateway))
    .u32(RTA_OIF, index)
    .finish();
}

function header(family: 4 | 6, scope: number, flags = 0): Buffer {
  const bytes = Buffer.from([family === 4 ? AF_INET : AF_INET6, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0, 0, 0, 0]);
  bytes.writeUInt32LE(flags, 8);
  return bytes;
}
