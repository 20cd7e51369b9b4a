/**
 * One netlink socket: requests that wait for the kernel's answer, dumps, batches of nfnetlink, and notices of groups.
 *
 * Everything is synchronous. The kernel carries a request out inside send(2), so its answer waits when send returns; a receive time-out guards
 * against one that never comes. A socket belongs to the network namespace in which it was opened, wherever its thread goes afterwards.
 */
import { EngineError, SystemCallError } from '../../base/errors.ts';
import { errnoName, isErrno } from '../ffi.ts';
import { closeDescriptor } from '../file-calls.ts';
import * as sockets from '../sockets.ts';
import {
  encodeMessage,
  messageHeaderLength,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  numberOf,
  parseAttributes,
  parseMessages,
  textOf,
} from './message.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const NLMSG_NOOP = 1;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_MISS_TYPE = 5;

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
export const NFNL_SUBSYS_NFTABLES = 10;

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** Kernel dumps fill what we offer up to 32 KiB; a single larger message (a link with many virtual functions) is told by MSG_TRUNC. */
const receiveBuffer = Buffer.alloc(256 * 1024);
const socketBufferBytes = 32 * 1024 * 1024;
const receiveTimeoutSeconds = 10n;
const dumpAttempts = 10;

export interface NetlinkOptions {
  /** Multicast groups (numbers, not masks) whose notices `receive` gives. */
  readonly groups?: readonly number[];
}

export interface BatchMessage {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

export interface Notices {
  readonly messages: readonly NetlinkMessage[];
  /** The kernel had to drop some: what they would have told must be dumped anew. */
  readonly lost: boolean;
}

export interface NetlinkSocket {
  readonly fd: number;
  /** Waits until it is carried out. `what` stands in the error: `add bridge br0`. */
  request(type: number, flags: number, payload: Uint8Array, what: string): void;
  /** A request that is answered by one message; its payload. */
  requestReply(type: number, flags: number, payload: Uint8Array, what: string): Buffer;
  /** Payloads of all messages of a dump; taken again when the kernel says that it changed meanwhile. */
  dump(type: number, payload: Uint8Array, what: string): Buffer[];
  /** Several requests with one send: each is tried, also after one that failed. One outcome each: null, or its error. */
  requestAll(messages: readonly BatchMessage[], what: string): (SystemCallError | null)[];
  /** nfnetlink: all or nothing. Throws `NetlinkBatchError`. */
  sendBatch(messages: readonly BatchMessage[], what: string, subsystem?: number): void;
  /** Notices that wait; never waits for one. */
  receive(): Notices;
  close(): void;
}

export interface BatchFailure {
  /** In the list of messages; -1: the batch as a whole (its commit). */
  readonly index: number;
  readonly error: SystemCallError;
}

/** Its errno is that of the first failure. */
export class NetlinkBatchError extends SystemCallError {
  readonly failures: readonly BatchFailure[];

  constructor(failures: readonly [BatchFailure, ...BatchFailure[]]) {
    const [{ error, index }] = failures;
    super(error.call, error.errno, error.errnoName, `${String(error.details.what)} (message ${index + 1})`);
    this.failures = failures;
  }
}

export function openNetlink(protocol: number, options: NetlinkOptions = {}): NetlinkSocket {
  const what = `netlink ${protocol}`;
  const fd = sockets.openSocket(sockets.AF_NETLINK, sockets.SOCK_RAW, protocol, what);
  try {
    const timeout = new BigInt64Array([receiveTimeoutSeconds, 0n]);
    sockets.setSocketOption(fd, sockets.SOL_SOCKET, sockets.SO_RCVTIMEO, new Uint8Array(timeout.buffer), what);
    sockets.setSocketOption(fd, sockets.SOL_SOCKET, sockets.SO_RCVBUFFORCE, socketBufferBytes, what);
    sockets.setSocketOption(fd, sockets.SOL_SOCKET, sockets.SO_SNDBUFFORCE, socketBufferBytes, what);
    sockets.setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, what);
    sockets.setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, what);
    sockets.setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1, what);
    // struct sockaddr_nl: u16 family, u16 padding, u32 port (0: the kernel's choice), u32 groups.
    const address = Buffer.alloc(12);
    address.writeUInt16LE(sockets.AF_NETLINK, 0);
    sockets.bindSocket(fd, address, what);
    for (const group of options.groups ?? []) sockets.setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, what);
    return new Netlink(fd);
  } catch (thrown) {
    closeDescriptor(fd);
    throw thrown;
  }
}

/** All of them with one send. Throws the first error; what came before it is done then, and mostly what came after it too. */
export function carryOut(socket: NetlinkSocket, messages: readonly BatchMessage[], what: string): void {
  for (const error of socket.requestAll(messages, what)) if (error) throw error;
}

class Netlink implements NetlinkSocket {
  readonly fd: number;
  #sequence = 0;
  #closed = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  request(type: number, flags: number, payload: Uint8Array, what: string): void {
    const sequence = this.#next();
    this.#send([encodeMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, payload)], what);
    const error = this.#acknowledgement(sequence, what);
    if (error) throw error;
  }

  requestReply(type: number, flags: number, payload: Uint8Array, what: string): Buffer {
    const sequence = this.#next();
    this.#send([encodeMessage(type, flags | NLM_F_REQUEST, sequence, payload)], what);
    for (;;) {
      for (const message of this.#receive(what)) {
        if (message.sequence !== sequence) continue;
        if (message.type !== NLMSG_ERROR) return Buffer.from(message.payload);
        throw errorOf(message, what) ?? new EngineError('system', `${what}: the kernel acknowledged, but gave no answer`);
      }
    }
  }

  dump(type: number, payload: Uint8Array, what: string): Buffer[] {
    for (let attempt = 1; ; attempt++) {
      const taken = this.#dumpOnce(type, payload, what);
      // A table that never holds still: what we have is as good as the next.
      if (!taken.interrupted || attempt === dumpAttempts) return taken.payloads;
    }
  }

  requestAll(messages: readonly BatchMessage[], what: string): (SystemCallError | null)[] {
    const sequences = new Map<number, number>();
    const encoded = messages.map(({ type, flags, payload }, index) => {
      const sequence = this.#next();
      sequences.set(sequence, index);
      return encodeMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, payload);
    });
    const outcomes: (SystemCallError | null)[] = messages.map(() => null);
    if (messages.length === 0) return outcomes;
    this.#send(encoded, what);
    while (sequences.size > 0) {
      for (const message of this.#receive(what)) {
        const index = sequences.get(message.sequence);
        if (index === undefined || message.type !== NLMSG_ERROR) continue;
        sequences.delete(message.sequence);
        outcomes[index] = errorOf(message, what);
      }
    }
    return outcomes;
  }

  sendBatch(messages: readonly BatchMessage[], what: string, subsystem = NFNL_SUBSYS_NFTABLES): void {
    if (messages.length === 0) return;
    // struct nfgenmsg: u8 family, u8 version, be16 resource: the subsystem.
    const header = Buffer.from([0, 0, subsystem >> 8, subsystem & 0xff]);
    const first = this.#next();
    const last = messages.length - 1;
    const encoded = messages.map(({ type, flags, payload }, index) =>
      // Failures are told unasked; the acknowledgement of the last one says that all were looked at.
      encodeMessage(type, flags | NLM_F_REQUEST | (index === last ? NLM_F_ACK : 0), this.#next(), payload),
    );
    const begin = encodeMessage(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, first, header);
    this.#send([begin, ...encoded, encodeMessage(NFNL_MSG_BATCH_END, NLM_F_REQUEST, this.#next(), header)], what);
    const failures = this.#batchFailures(first, messages.length, what);
    const [worst, ...others] = failures.sort((a, b) => a.index - b.index);
    if (worst) throw new NetlinkBatchError([worst, ...others]);
  }

  receive(): Notices {
    const messages: NetlinkMessage[] = [];
    let lost = false;
    for (;;) {
      try {
        const length = sockets.receiveWaitingBytes(this.fd, receiveBuffer, sockets.MSG_TRUNC, 'netlink notices');
        if (length === null) return { messages, lost };
        messages.push(...parseMessages(Buffer.from(whole(length, 'netlink notices'))));
      } catch (thrown) {
        if (!isErrno(thrown, 'ENOBUFS')) throw thrown;
        lost = true;
      }
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeDescriptor(this.fd);
  }

  #dumpOnce(type: number, payload: Uint8Array, what: string): { payloads: Buffer[]; interrupted: boolean } {
    const sequence = this.#next();
    this.#send([encodeMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload)], what);
    const payloads: Buffer[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of this.#receive(what)) {
        if (message.sequence !== sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const error = message.payload.length >= 4 ? errorOf(message, what) : null;
          if (error) throw error;
          return { payloads, interrupted };
        }
        payloads.push(Buffer.from(message.payload));
        if ((message.flags & NLM_F_MULTI) === 0) return { payloads, interrupted };
      }
    }
  }

  #acknowledgement(sequence: number, what: string): SystemCallError | null {
    for (;;) {
      for (const message of this.#receive(what)) {
        if (message.sequence === sequence && message.type === NLMSG_ERROR) return errorOf(message, what);
      }
    }
  }

  #batchFailures(first: number, count: number, what: string): BatchFailure[] {
    const failures: BatchFailure[] = [];
    let done = false;
    while (!done) {
      for (const message of this.#receive(what)) {
        const index = message.sequence - first - 1;
        if (message.type !== NLMSG_ERROR || index < -1 || index >= count) continue;
        const error = errorOf(message, what);
        if (error) failures.push({ index, error });
        // The error of the begin message is the commit's, or that the batch as a whole is refused; it stands alone or comes last.
        if (index === -1 || index === count - 1) done = true;
      }
    }
    // A failed commit is told after the acknowledgement of the last message.
    for (const message of this.receive().messages) {
      const error = message.type === NLMSG_ERROR && message.sequence === first ? errorOf(message, what) : null;
      if (error) failures.push({ index: -1, error });
    }
    return failures;
  }

  /** The number of the next message; kept small so that differences never wrap in practice, and never 0, the number of notices. */
  #next(): number {
    this.#sequence = this.#sequence >= 0x7fff_0000 ? 1 : this.#sequence + 1;
    return this.#sequence;
  }

  #send(messages: readonly Buffer[], what: string): void {
    const [only] = messages;
    sockets.sendBytes(this.fd, messages.length === 1 && only ? only : Buffer.concat(messages), 0, what);
  }

  #receive(what: string): NetlinkMessage[] {
    try {
      const length = sockets.receiveBytes(this.fd, receiveBuffer, sockets.MSG_TRUNC, what);
      return parseMessages(whole(length, what)).filter(({ type }) => type !== NLMSG_NOOP);
    } catch (thrown) {
      if (!isErrno(thrown, 'EAGAIN')) throw thrown;
      throw new EngineError('system', `${what}: the kernel gave no answer within ${receiveTimeoutSeconds} s`, { cause: thrown });
    }
  }
}

function whole(length: number, what: string): Buffer {
  if (length > receiveBuffer.length) throw new EngineError('system', `${what}: a netlink message of ${length} bytes is too long`);
  return receiveBuffer.subarray(0, length);
}

/**
 * Null: an acknowledgement. Payload of an error: i32 -errno | the header of the request | (its payload, unless capped) | attributes, one of them the
 * kernel's own words.
 */
function errorOf(message: NetlinkMessage, what: string): SystemCallError | null {
  if (message.payload.length < 4)
    throw new EngineError('system', `${what}: malformed netlink data: an error of ${message.payload.length} bytes`);
  const errno = -message.payload.readInt32LE(0);
  if (errno === 0) return null;
  const said = kernelText(message);
  return new SystemCallError('netlink', errno, errnoName(errno), said === '' ? what : `${what} (${said})`);
}

function kernelText({ type, flags, payload }: NetlinkMessage): string {
  if ((flags & NLM_F_ACK_TLVS) === 0) return '';
  // The end of a dump carries no copy of its request.
  let start = 4;
  if (type === NLMSG_ERROR) {
    if (payload.length < 4 + messageHeaderLength) return '';
    start = 4 + ((flags & NLM_F_CAPPED) !== 0 ? messageHeaderLength : (payload.readUInt32LE(4) + 3) & ~3);
  }
  const attributes = parseAttributes(payload.subarray(start));
  const text = attributes.get(NLMSGERR_ATTR_MSG);
  const missing = attributes.get(NLMSGERR_ATTR_MISS_TYPE);
  if (text) return textOf(text);
  return missing ? `attribute ${numberOf(missing)} is missing` : '';
}
