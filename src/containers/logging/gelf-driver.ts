/**
 * The `gelf` driver: Graylog's format, one JSON document a line.
 *
 *   udp   compressed (gzip, level 1); what is larger than 1420 bytes goes in chunks:  1e 0f | 8 bytes id | u8 index | u8 count | part
 *   tcp   as it is, each ended by a NUL
 */
import { randomBytes } from 'node:crypto';
import type { Socket as UdpSocket } from 'node:dgram';
import { promisify } from 'node:util';
import { deflate, gzip } from 'node:zlib';
import { invalid } from '../../base/errors.ts';
import { cacheSpool } from './file-drivers.ts';
import { attributeOptions, checkAttributeOptions, extraAttributes } from './log-attributes.ts';
import {
  defaultRetry,
  type LogDriver,
  type LogMessage,
  type LogOptions,
  type LogSink,
  type LogSubject,
  type SinkPlan,
} from './log-driver.ts';
import { checkTag, defaultTag, renderTag } from './log-tag.ts';
import { parseAddressUrl, requireKnown } from './option-values.ts';
import { StreamConnection } from './stream-connection.ts';
import { connectedUdp, sendUdp } from './syslog-driver.ts';

export const gelfDriver: LogDriver = { name: 'gelf', showsPath: false, spool: cacheSpool, sink: gelfPlan };

/** A datagram that no network on the way cuts in pieces. */
const datagramBytes = 1420;
const chunkHeaderBytes = 12;
const maxChunks = 128;

const known = [
  ...attributeOptions,
  ...['address', 'compression-level', 'compression-type', 'tcp-max-reconnect', 'tcp-reconnect-delay'].map((name) => `gelf-${name}`),
];

interface GelfOptions {
  readonly scheme: 'udp' | 'tcp';
  readonly host: string;
  readonly port: number;
  readonly pack: (bytes: Buffer) => Promise<Buffer>;
}

function gelfPlan(options: LogOptions): SinkPlan {
  const gelf = gelfOptions(options);
  requireKnown(options, known, 'gelf log driver');
  checkAttributeOptions(options);
  checkTag(options.tag);
  const seconds = Number(options['gelf-tcp-reconnect-delay'] ?? '1');
  const retries = options['gelf-tcp-max-reconnect'];
  return {
    lazy: false,
    // Docker gives up after three; what waits here waits on the disk.
    retry: gelf.scheme === 'udp' ? defaultRetry : { waitMs: seconds * 1000, maxRetries: retries === undefined ? null : Number(retries) },
    open: (subject) =>
      gelf.scheme === 'udp' ? new UdpGelf(gelf, document(options, subject)) : new TcpGelf(gelf, document(options, subject)),
  };
}

function gelfOptions(options: LogOptions): GelfOptions {
  const address = options['gelf-address'] ?? '';
  if (address === '') throw invalid('gelf-address is a required parameter');
  const url = parseAddressUrl(address);
  if (url === null || (url.scheme !== 'udp' && url.scheme !== 'tcp'))
    throw invalid(`gelf-address should be in form proto://address, got ${address}`);
  if (!/^\d{1,5}$/.test(url.port)) throw invalid('gelf: please provide gelf-address as proto://host:port');
  refuseForOtherScheme(options, url.scheme);
  return { scheme: url.scheme, host: url.host || 'localhost', port: Number(url.port), pack: packing(options) };
}

function refuseForOtherScheme(options: LogOptions, scheme: string): void {
  for (const name of ['gelf-tcp-max-reconnect', 'gelf-tcp-reconnect-delay']) {
    const value = options[name];
    if (value === undefined) continue;
    if (scheme !== 'tcp') throw invalid(`"${name}" is only valid for TCP`);
    if (!/^\d{1,9}$/.test(value)) throw invalid(`"${name}" must be a positive integer`);
  }
  if (scheme === 'tcp' && (options['gelf-compression-level'] ?? options['gelf-compression-type']) !== undefined) {
    throw invalid('compression is only supported on UDP');
  }
}

function packing(options: LogOptions): GelfOptions['pack'] {
  const { 'gelf-compression-type': type = 'gzip', 'gelf-compression-level': levelText = '1' } = options;
  const refuse = (name: string) => invalid(`unknown value ${JSON.stringify(options[name])} for log opt "${name}" for gelf log driver`);
  if (!['gzip', 'zlib', 'none'].includes(type)) throw refuse('gelf-compression-type');
  if (!/^(-1|\d)$/.test(levelText)) throw refuse('gelf-compression-level');
  const level = Number(levelText);
  if (type === 'none') return async (bytes) => bytes;
  const pack = type === 'gzip' ? promisify<Buffer, { level: number }, Buffer>(gzip) : promisify<Buffer, { level: number }, Buffer>(deflate);
  return (bytes) => pack(bytes, { level });
}

type Document = (message: LogMessage) => Buffer;

function document(options: LogOptions, subject: LogSubject): Document {
  const extra = Object.fromEntries(Object.entries(extraAttributes(options, subject)).map(([name, value]) => [`_${name}`, value]));
  const own = {
    ...extra,
    _command: subject.command,
    _container_id: subject.id,
    _container_name: subject.name,
    _created: subject.createdAt.toISOString(),
    _image_id: subject.imageId,
    _image_name: subject.imageName,
    _tag: renderTag(options.tag || defaultTag, subject),
  };
  return ({ text, stderr, timeNano }) => {
    const timestamp = Number(timeNano / 1_000_000n) / 1000;
    return Buffer.from(
      JSON.stringify({ version: '1.1', host: subject.hostname, short_message: text, timestamp, level: stderr ? 3 : 6, ...own }),
    );
  };
}

class UdpGelf implements LogSink {
  readonly #options: GelfOptions;
  readonly #document: Document;
  #socket: UdpSocket | null = null;

  constructor(options: GelfOptions, document: Document) {
    this.#options = options;
    this.#document = document;
  }

  async connect(): Promise<void> {
    this.#socket ??= await connectedUdp(this.#options.host, this.#options.port);
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    await this.connect();
    for (const message of messages) {
      // An empty short_message is refused by Graylog.
      if (message.text === '') continue;
      const packed = await this.#options.pack(this.#document(message));
      for (const datagram of gelfDatagrams(packed)) await sendUdp(this.#socket as UdpSocket, [datagram]);
    }
  }

  close(): void {
    this.#socket?.close();
    this.#socket = null;
  }
}

/** What does not fit into the most chunks there may be is not sent: nobody could put it together. */
export function gelfDatagrams(packed: Buffer): readonly Buffer[] {
  if (packed.length <= datagramBytes) return [packed];
  const partBytes = datagramBytes - chunkHeaderBytes;
  const count = Math.ceil(packed.length / partBytes);
  if (count > maxChunks) return [];
  const id = randomBytes(8);
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat([
      Buffer.from([0x1e, 0x0f]),
      id,
      Buffer.from([index, count]),
      packed.subarray(index * partBytes, (index + 1) * partBytes),
    ]),
  );
}

class TcpGelf implements LogSink {
  readonly #connection: StreamConnection;
  readonly #document: Document;

  constructor({ host, port }: GelfOptions, document: Document) {
    const name = `gelf: cannot connect to GELF endpoint: ${host}:${port}`;
    this.#connection = new StreamConnection({ plain: { host, port }, tls: null, name });
    this.#document = document;
  }

  connect(signal: AbortSignal): Promise<void> {
    return this.#connection.connect(signal);
  }

  async send(messages: readonly LogMessage[], signal: AbortSignal): Promise<void> {
    const documents = messages.filter(({ text }) => text !== '').flatMap((message) => [this.#document(message), Buffer.alloc(1)]);
    if (documents.length > 0) await this.#connection.write(Buffer.concat(documents), signal);
  }

  close(): void {
    this.#connection.close();
  }
}
