/**
 * Connection tracking entries by ctnetlink: deleted, so that a port that was unpublished is closed for flows too, and a new owner of an address does not
 * inherit the flows of the last one. Entries survive the rules that made them.
 *
 *     struct nfgenmsg   u8 family | u8 version | be16 resource
 *
 * One request with CTA_FILTER deletes all that match in one pass over the table (52 ms at 120,000 entries): for the net worker only. Kernels that
 * do not know the filter there refuse the incomplete tuple (EINVAL); then the table is read, and each match deleted by its whole tuple.
 */
import { bytesToIp, ipToBytes } from '../../base/ip-bytes.ts';
import { isErrno } from '../ffi.ts';
import { AttributeWriter, numberOf, numberOfBigEndian, parseAttributes } from './message.ts';
import type { BatchMessage, NetlinkSocket } from './netlink-socket.ts';

const IPCTNL_MSG_CT_GET = 0x101;
const IPCTNL_MSG_CT_DELETE = 0x102;

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const filterSource = 1 << 0;
const filterProtocol = 1 << 3;
const filterDestinationPort = 1 << 5;

const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;

const AF_INET = 2;
const AF_INET6 = 10;
const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const;
const headerLength = 4;
/** Their acknowledgements must fit into the socket's buffer. */
const requestsAtOnce = 1000;

export interface FlowEnd {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** 0 for protocols without ports. */
  readonly destinationPort: number;
}

/** As the first packet had it, and as answers have it: the source of a reply is who serves it after all rewriting. */
export interface Flow {
  readonly original: FlowEnd;
  readonly reply: FlowEnd;
}

/** Flows that were opened to this port of this host, whatever they were rewritten to. */
export function deleteFlowsToPort(socket: NetlinkSocket, family: 4 | 6, protocol: keyof typeof protocolNumbers, port: number): void {
  const number = protocolNumbers[protocol];
  const request = new AttributeWriter(header(family))
    .nested(CTA_TUPLE_ORIG, (tuple) =>
      tuple.nested(CTA_TUPLE_PROTO, (proto) => proto.u8(CTA_PROTO_NUM, number).u16be(CTA_PROTO_DST_PORT, port)),
    )
    .nested(CTA_FILTER, (filter) =>
      filter.u32(CTA_FILTER_ORIG_FLAGS, filterProtocol | filterDestinationPort).u32(CTA_FILTER_REPLY_FLAGS, 0),
    )
    .finish();
  deleteMatching(socket, family, request, ({ original }) => original.protocol === number && original.destinationPort === port);
}

/** Flows that this address opened, and flows that it serves. */
export function deleteFlowsOfAddress(socket: NetlinkSocket, address: string): void {
  const bytes = ipToBytes(address);
  const family = bytes.length === 4 ? 4 : 6;
  const source = family === 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
  const request = (tupleType: number): Buffer =>
    new AttributeWriter(header(family))
      .nested(tupleType, (tuple) => tuple.nested(CTA_TUPLE_IP, (ip) => ip.bytes(source, bytes)))
      .nested(CTA_FILTER, (filter) =>
        filter
          .u32(CTA_FILTER_ORIG_FLAGS, tupleType === CTA_TUPLE_ORIG ? filterSource : 0)
          .u32(CTA_FILTER_REPLY_FLAGS, tupleType === CTA_TUPLE_REPLY ? filterSource : 0),
      )
      .finish();
  const canonical = bytesToIp(bytes);
  deleteMatching(socket, family, request(CTA_TUPLE_ORIG), ({ original }) => original.source === canonical);
  deleteMatching(socket, family, request(CTA_TUPLE_REPLY), ({ reply }) => reply.source === canonical);
}

/** Reads the whole table once. */
export function deleteFlowsWhere(socket: NetlinkSocket, family: 4 | 6, matches: (flow: Flow) => boolean): void {
  const requests: BatchMessage[] = [];
  for (const payload of socket.dump(IPCTNL_MSG_CT_GET, header(family), 'read connection tracking')) {
    const flow = parseFlow(payload);
    if (flow && matches(flow)) requests.push({ type: IPCTNL_MSG_CT_DELETE, flags: 0, payload: exactDeletion(family, payload) });
  }
  for (let at = 0; at < requests.length; at += requestsAtOnce) {
    for (const error of socket.requestAll(requests.slice(at, at + requestsAtOnce), 'delete connection tracking entries')) {
      // Each may have ended by itself meanwhile.
      if (error && error.errnoName !== 'ENOENT') throw error;
    }
  }
}

function deleteMatching(socket: NetlinkSocket, family: 4 | 6, request: Buffer, matches: (flow: Flow) => boolean): void {
  try {
    socket.request(IPCTNL_MSG_CT_DELETE, 0, request, 'delete connection tracking entries');
  } catch (thrown) {
    if (isErrno(thrown, 'ENOENT')) return;
    if (!isErrno(thrown, 'EINVAL', 'EOPNOTSUPP')) throw thrown;
    deleteFlowsWhere(socket, family, matches);
  }
}

/** The tuple as the kernel wrote it, with its id, so that no other entry can be meant. */
function exactDeletion(family: 4 | 6, entry: Buffer): Buffer {
  const attributes = parseAttributes(entry.subarray(headerLength));
  const writer = new AttributeWriter(header(family));
  const copy = (type: number): void => {
    const value = attributes.get(type);
    if (value) writer.bytes(type, value);
  };
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  if (tuple) writer.nested(CTA_TUPLE_ORIG, (inner) => inner.raw(tuple));
  copy(CTA_ID);
  copy(CTA_ZONE);
  return writer.finish();
}

/** Null: not an entry that has both directions. */
export function parseFlow(entry: Buffer): Flow | null {
  const attributes = parseAttributes(entry.subarray(headerLength));
  const original = attributes.get(CTA_TUPLE_ORIG);
  const reply = attributes.get(CTA_TUPLE_REPLY);
  return original && reply ? { original: parseTuple(original), reply: parseTuple(reply) } : null;
}

function parseTuple(bytes: Buffer): FlowEnd {
  const tuple = parseAttributes(bytes);
  const ip = parseAttributes(tuple.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const proto = parseAttributes(tuple.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const address = (value: Buffer | undefined): string => (value ? bytesToIp(value) : '');
  const number = proto.get(CTA_PROTO_NUM);
  const port = proto.get(CTA_PROTO_DST_PORT);
  return {
    source: address(ip.get(CTA_IP_V4_SRC) ?? ip.get(CTA_IP_V6_SRC)),
    destination: address(ip.get(CTA_IP_V4_DST) ?? ip.get(CTA_IP_V6_DST)),
    protocol: number ? numberOf(number) : 0,
    destinationPort: port ? numberOfBigEndian(port) : 0,
  };
}

function header(family: 4 | 6): Buffer {
  return Buffer.from([family === 4 ? AF_INET : AF_INET6, 0, 0, 0]);
}
