/**
 * Network interfaces by rtnetlink. What changes them are messages (`BatchMessage`), so that a caller may send many at once; what reads them asks.
 *
 *     struct ifinfomsg   u8 family | u8 0 | u16 type | i32 index | u32 flags | u32 mask of flags to change
 *
 * Traps, measured: IFF_UP in the header of a veth's peer fails with ENOTCONN, it is set up from inside; deleting waits for an RCU grace period
 * (15–50 ms), so what is used up is put into a group and deleted later, all at once; a bridge without an address of its own takes its ports'.
 */
import { isErrno } from '../ffi.ts';
import { AttributeWriter, NLM_F_CREATE, NLM_F_EXCL, numberOf, parseAttributes, textOf } from './message.ts';
import type { BatchMessage, NetlinkSocket } from './netlink-socket.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const IFF_UP = 1;
const IFF_RUNNING = 0x40;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_AF_SPEC = 26;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;

const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;

const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VLAN_ID = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;

const AF_INET6 = 10;
const headerLength = 16;

const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const ipvlanModes = { l2: 0, l3: 1, l3s: 2 } as const;
const ipvlanFlags = { bridge: 0, private: 1, vepa: 2 } as const;

export type MacvlanMode = keyof typeof macvlanModes;
export type IpvlanMode = keyof typeof ipvlanModes;
export type IpvlanFlag = keyof typeof ipvlanFlags;

export interface LinkSettings {
  readonly name?: string;
  readonly up?: boolean;
  readonly mtu?: number;
  /** `02:42:ac:11:00:02` */
  readonly address?: string;
  /** Index of the bridge; 0: none any more. */
  readonly master?: number;
  readonly group?: number;
  readonly alias?: string;
  /** False: no link-local IPv6 address of its own (for ports of a bridge). Only where the kernel has IPv6. */
  readonly ipv6LinkLocal?: false;
}

export type LinkKind =
  | { readonly kind: 'bridge' | 'dummy' }
  | {
      readonly kind: 'veth';
      readonly peer: { readonly name: string; readonly namespace: number; readonly mtu?: number; readonly address?: string };
    }
  | { readonly kind: 'macvlan'; readonly parent: number; readonly mode: MacvlanMode }
  | { readonly kind: 'ipvlan'; readonly parent: number; readonly mode: IpvlanMode; readonly flag: IpvlanFlag }
  | { readonly kind: 'vlan'; readonly parent: number; readonly id: number };

/** An alias and `ipv6LinkLocal` are not taken at creation: a `changeLink` sets them. */
export interface NewLink extends Omit<LinkSettings, 'alias' | 'ipv6LinkLocal'> {
  readonly name: string;
  /** Descriptor of the namespace where it is to appear; default: the socket's. */
  readonly namespace?: number;
}

/** By index, or by name. */
export type LinkReference = number | string;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** '' : not made by rtnetlink (a network card). */
  readonly kind: string;
  readonly up: boolean;
  /** It sends: the kernel gets there a moment after `up`, by work of its own (linkwatch); before that it drops what is sent. */
  readonly running: boolean;
  /** '' : it has none. */
  readonly address: string;
  readonly mtu: number;
  /** 0: none. */
  readonly master: number;
  /** What a macvlan or a vlan lies on, the peer of a veth (an index in its namespace); 0: none. */
  readonly parent: number;
  readonly group: number;
  readonly alias: string;
}

export function newLink(kind: LinkKind, settings: NewLink): BatchMessage {
  const writer = new AttributeWriter(header(0, settings.up)).text(IFLA_IFNAME, settings.name);
  writeSettings(writer, settings);
  if (settings.namespace !== undefined) writer.u32(IFLA_NET_NS_FD, settings.namespace);
  if ('parent' in kind) writer.u32(IFLA_LINK, kind.parent);
  writer.nested(IFLA_LINKINFO, (info) => {
    info.text(IFLA_INFO_KIND, kind.kind);
    writeKind(info, kind);
  });
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, payload: writer.finish() };
}

/** `namespace`: a descriptor of the one that it moves to. */
export function changeLink(link: LinkReference, settings: LinkSettings & { readonly namespace?: number }): BatchMessage {
  const writer = referTo(link, settings.up);
  if (settings.name !== undefined) writer.text(IFLA_IFNAME, settings.name);
  writeSettings(writer, settings);
  if (settings.namespace !== undefined) writer.u32(IFLA_NET_NS_FD, settings.namespace);
  if (settings.alias !== undefined) writer.bytes(IFLA_IFALIAS, Buffer.from(settings.alias));
  if (settings.ipv6LinkLocal === false) {
    writer.nested(IFLA_AF_SPEC, (families) =>
      families.nested(AF_INET6, (inet6) => inet6.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE)),
    );
  }
  return { type: RTM_NEWLINK, flags: 0, payload: writer.finish() };
}

/** Of a link that is a port of a bridge already. `hairpin`: a packet may leave by the port it came in; `isolated`: none goes to another isolated port. */
export function changeBridgePort(link: LinkReference, port: { readonly hairpin: boolean; readonly isolated: boolean }): BatchMessage {
  const writer = referTo(link).nested(IFLA_LINKINFO, (info) =>
    info
      .text(IFLA_INFO_SLAVE_KIND, 'bridge')
      .nested(IFLA_INFO_SLAVE_DATA, (data) =>
        data.u8(IFLA_BRPORT_MODE, port.hairpin ? 1 : 0).u8(IFLA_BRPORT_ISOLATED, port.isolated ? 1 : 0),
      ),
  );
  return { type: RTM_NEWLINK, flags: 0, payload: writer.finish() };
}

export function deleteLink(link: LinkReference): BatchMessage {
  return { type: RTM_DELLINK, flags: 0, payload: referTo(link).finish() };
}

/** All at once: 200 take little longer than one. Group 0 is where links are that nobody put anywhere, so it is refused. */
export function deleteLinkGroup(group: number): BatchMessage {
  if (group === 0) throw new RangeError('group 0 holds every link of the host');
  return { type: RTM_DELLINK, flags: 0, payload: new AttributeWriter(header(0)).u32(IFLA_GROUP, group).finish() };
}

/** Null when there is none. */
export function readLink(socket: NetlinkSocket, link: LinkReference): Link | null {
  try {
    return parseLink(socket.requestReply(RTM_GETLINK, 0, referTo(link).finish(), `read interface ${link}`));
  } catch (thrown) {
    if (isErrno(thrown, 'ENODEV')) return null;
    throw thrown;
  }
}

export function listLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(RTM_GETLINK, header(0), 'list interfaces').map(parseLink);
}

/**
 * Makes one, to find out whether the kernel knows this kind; it may load a module for it. Deleting would take long, so the socket is that of a namespace
 * that is thrown away.
 */
export function canMakeLink(socket: NetlinkSocket, kind: LinkKind, name: string): boolean {
  const [error] = socket.requestAll([newLink(kind, { name })], `try a ${kind.kind} interface`);
  // Busy: the parent carries links of another kind (macvlan and ipvlan exclude each other), so this one is known.
  if (!error || error.errnoName === 'EBUSY') return true;
  if (error.errnoName === 'EOPNOTSUPP' || error.errnoName === 'ENOTSUP') return false;
  throw error;
}

export function parseLink(payload: Buffer): Link {
  const attributes = parseAttributes(payload.subarray(headerLength));
  const number = (type: number): number => {
    const value = attributes.get(type);
    return value ? numberOf(value) : 0;
  };
  const text = (type: number): string => textOf(attributes.get(type) ?? Buffer.alloc(0));
  const info = parseAttributes(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  return {
    index: payload.readInt32LE(4),
    name: text(IFLA_IFNAME),
    kind: textOf(info.get(IFLA_INFO_KIND) ?? Buffer.alloc(0)),
    up: (payload.readUInt32LE(8) & IFF_UP) !== 0,
    running: (payload.readUInt32LE(8) & IFF_RUNNING) !== 0,
    address:
      attributes
        .get(IFLA_ADDRESS)
        ?.toString('hex')
        .replace(/(..)(?=.)/g, '$1:') ?? '',
    mtu: number(IFLA_MTU),
    master: number(IFLA_MASTER),
    parent: number(IFLA_LINK),
    group: number(IFLA_GROUP),
    alias: text(IFLA_IFALIAS),
  };
}

function header(index: number, up?: boolean): Buffer {
  const bytes = Buffer.alloc(headerLength);
  bytes.writeInt32LE(index, 4);
  if (up !== undefined) {
    bytes.writeUInt32LE(up ? IFF_UP : 0, 8);
    bytes.writeUInt32LE(IFF_UP, 12);
  }
  return bytes;
}

function referTo(link: LinkReference, up?: boolean): AttributeWriter {
  return typeof link === 'number' ? new AttributeWriter(header(link, up)) : new AttributeWriter(header(0, up)).text(IFLA_IFNAME, link);
}

function writeSettings(writer: AttributeWriter, { mtu, address, master, group }: LinkSettings): void {
  if (mtu !== undefined) writer.u32(IFLA_MTU, mtu);
  if (address !== undefined) writer.bytes(IFLA_ADDRESS, macBytes(address));
  if (master !== undefined) writer.u32(IFLA_MASTER, master);
  if (group !== undefined) writer.u32(IFLA_GROUP, group);
}

function writeKind(info: AttributeWriter, kind: LinkKind): void {
  switch (kind.kind) {
    case 'bridge':
    case 'dummy':
      return;
    case 'veth':
      info.nested(IFLA_INFO_DATA, (data) =>
        data.nested(VETH_INFO_PEER, (peer) => {
          peer.raw(header(0)).text(IFLA_IFNAME, kind.peer.name).u32(IFLA_NET_NS_FD, kind.peer.namespace);
          writeSettings(peer, kind.peer);
        }),
      );
      return;
    case 'macvlan':
      info.nested(IFLA_INFO_DATA, (data) => data.u32(IFLA_MACVLAN_MODE, macvlanModes[kind.mode]));
      return;
    case 'ipvlan':
      info.nested(IFLA_INFO_DATA, (data) =>
        data.u16(IFLA_IPVLAN_MODE, ipvlanModes[kind.mode]).u16(IFLA_IPVLAN_FLAGS, ipvlanFlags[kind.flag]),
      );
      return;
    case 'vlan':
      info.nested(IFLA_INFO_DATA, (data) => data.u16(IFLA_VLAN_ID, kind.id));
      return;
  }
}

function macBytes(address: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(address)) throw new RangeError(`not a MAC address: ${address}`);
  return Buffer.from(address.replaceAll(':', ''), 'hex');
}
