/** The `syslog` driver: one message a line, over udp, tcp, tcp+tls, unix or unixgram. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import { UnixDatagram } from '../../linux/unix-datagram-socket.ts';
import { cacheSpool } from './file-drivers.ts';
import { attributeOptions, checkAttributeOptions } from './log-attributes.ts';
import { badLogOption, defaultRetry, type LogDriver, type LogOptions, type LogSink, type LogSubject, type SinkPlan } from './log-driver.ts';
import { checkTag, defaultTag, renderTag } from './log-tag.ts';
import { type AddressUrl, parseAddressUrl, requireKnown } from './option-values.ts';
import { StreamConnection, type StreamTarget } from './stream-connection.ts';
import { type Syslog, syslogFacility, syslogFormatter } from './syslog-format.ts';

export const syslogDriver: LogDriver = { name: 'syslog', showsPath: false, spool: cacheSpool, sink: syslogPlan };

const known = [
  ...attributeOptions,
  ...['address', 'facility', 'format', 'tls-ca-cert', 'tls-cert', 'tls-key', 'tls-skip-verify'].map((name) => `syslog-${name}`),
];

function syslogPlan(options: LogOptions): SinkPlan {
  requireKnown(options, known, 'syslog log driver');
  const address = syslogAddress(options['syslog-address'] ?? '');
  const facility = syslogFacility(options['syslog-facility'] ?? '');
  const secure = address?.scheme === 'tcp+tls';
  const formatter = syslogFormatter(options['syslog-format'] ?? '', secure);
  checkAttributeOptions(options);
  checkTag(options.tag);
  return {
    lazy: false,
    retry: defaultRetry,
    open(subject: LogSubject) {
      const tag = renderTag(options.tag || defaultTag, subject);
      const syslog: Syslog = { facility, hostname: subject.hostname, tag, pid: process.pid, format: formatter };
      return openSink(address, syslog, options);
    },
  };
}

function syslogAddress(text: string): AddressUrl | null {
  if (text === '') return null;
  const url = parseAddressUrl(text);
  if (url === null || !['unix', 'unixgram', 'tcp', 'udp', 'tcp+tls'].includes(url.scheme)) {
    throw invalid(`syslog-address should be in form proto://address, got ${text}`);
  }
  if (url.scheme.startsWith('unix')) {
    const path = url.host + url.path;
    if (!existsSync(path)) throw invalid(`stat ${path}: no such file or directory`);
    return { ...url, path };
  }
  if (url.port !== '' && !/^\d{1,5}$/.test(url.port)) throw invalid(`invalid port in syslog-address: ${text}`);
  return url;
}

function openSink(address: AddressUrl | null, syslog: Syslog, options: LogOptions): LogSink {
  if (address === null) return new LocalSyslog(syslog);
  switch (address.scheme) {
    case 'unixgram':
      return new UnixgramSyslog(address.path, syslog);
    case 'udp':
      return new UdpSyslog(address.host, Number(address.port || '514'), syslog);
    default:
      return new StreamSyslog(streamTarget(address, options), syslog);
  }
}

function streamTarget({ scheme, host, port, path }: AddressUrl, options: LogOptions): StreamTarget {
  if (scheme === 'unix') return { plain: { path }, tls: null, name: `dial unix ${path}` };
  const plain = { host: host || 'localhost', port: Number(port || (scheme === 'tcp+tls' ? '6514' : '514')) };
  return { plain, tls: scheme === 'tcp+tls' ? () => tlsOptions(options) : null, name: `dial tcp ${plain.host}:${plain.port}` };
}

const largestCertificateBytes = 1024 * 1024;

/** Read when connecting: certificates are renewed while a daemon runs. */
function tlsOptions(options: LogOptions) {
  const file = (name: string) => {
    const path = options[`syslog-tls-${name}`] ?? '';
    if (path === '') return {};
    try {
      return { [name === 'ca-cert' ? 'ca' : name]: readCertificate(path) };
    } catch (error) {
      throw badLogOption(`could not read syslog-tls-${name} ${path}: ${errorText(error)}`);
    }
  };
  // Docker looks at whether it is there and not at its value.
  const rejectUnauthorized = (options['syslog-tls-skip-verify'] ?? '') === '';
  return { ...file('ca-cert'), ...file('cert'), ...file('key'), rejectUnauthorized };
}

/** A FIFO or a device under that name is not waited for. */
function readCertificate(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.size > largestCertificateBytes) throw new Error('it is not a file, or larger than 1 MB');
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

class StreamSyslog implements LogSink {
  readonly #connection: StreamConnection;
  readonly #syslog: Syslog;

  constructor(target: StreamTarget, syslog: Syslog) {
    this.#connection = new StreamConnection(target);
    this.#syslog = syslog;
  }

  connect(signal: AbortSignal): Promise<void> {
    return this.#connection.connect(signal);
  }

  async send(messages: Parameters<LogSink['send']>[0], signal: AbortSignal): Promise<void> {
    const frames = messages.map((message) => this.#syslog.format.frame(this.#syslog, message));
    await this.#connection.write(Buffer.from(frames.join('')), signal);
  }

  close(): void {
    this.#connection.close();
  }
}

class UdpSyslog implements LogSink {
  readonly #host: string;
  readonly #port: number;
  readonly #syslog: Syslog;
  #socket: UdpSocket | null = null;

  constructor(host: string, port: number, syslog: Syslog) {
    this.#host = host || 'localhost';
    this.#port = port;
    this.#syslog = syslog;
  }

  async connect(): Promise<void> {
    this.#socket ??= await connectedUdp(this.#host, this.#port);
  }

  async send(messages: Parameters<LogSink['send']>[0]): Promise<void> {
    await this.connect();
    for (const message of messages)
      await sendUdp(this.#socket as UdpSocket, [Buffer.from(this.#syslog.format.line(this.#syslog, message))]);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = null;
  }
}

export async function connectedUdp(host: string, port: number): Promise<UdpSocket> {
  // The address is looked up once: a socket that is not connected would ask for each message.

  const { address, family } = await lookup(host);
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  socket.unref();
  // A receiver that is not there (ICMP) is nothing that UDP tells its senders about.
  socket.on('error', () => {});
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.connect(port, address, (error?: Error | null) => (error ? reject(error) : resolve()));
  await promise;
  return socket;
}

export function sendUdp(socket: UdpSocket, parts: readonly Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send([...parts], (error) => {
      const refused = error !== null && 'code' in error && error.code === 'ECONNREFUSED';
      if (error === null || refused) resolve();
      else reject(error);
    });
  });
}

class UnixgramSyslog implements LogSink {
  readonly #socket: UnixDatagram;
  readonly #syslog: Syslog;

  constructor(path: string, syslog: Syslog) {
    this.#socket = new UnixDatagram(path);
    this.#syslog = syslog;
  }

  async connect(): Promise<void> {
    this.#socket.connect();
  }

  async send(messages: Parameters<LogSink['send']>[0], signal: AbortSignal): Promise<void> {
    for (const message of messages) await this.#socket.send(Buffer.from(this.#syslog.format.line(this.#syslog, message)), signal);
  }

  close(): void {
    this.#socket.close();
  }
}

const localSockets = ['/dev/log', '/var/run/syslog', '/var/run/log'];

/** Whatever kind of socket the machine's own syslog listens on. */
class LocalSyslog implements LogSink {
  readonly #syslog: Syslog;
  #sink: LogSink | null = null;

  constructor(syslog: Syslog) {
    this.#syslog = syslog;
  }

  async connect(signal: AbortSignal): Promise<void> {
    this.#sink ??= await this.#open(signal);
  }

  async send(messages: Parameters<LogSink['send']>[0], signal: AbortSignal): Promise<void> {
    await this.connect(signal);
    await this.#sink?.send(messages, signal);
  }

  close(): void {
    this.#sink?.close();
    this.#sink = null;
  }

  async #open(signal: AbortSignal): Promise<LogSink> {
    for (const path of localSockets.filter((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isSocket() === true)) {
      for (const sink of [
        new UnixgramSyslog(path, this.#syslog),
        new StreamSyslog({ plain: { path }, tls: null, name: `dial unix ${path}` }, this.#syslog),
      ]) {
        try {
          await sink.connect(signal);
          return sink;
        } catch {
          sink.close();
        }
      }
    }
    throw new EngineError(
      'unavailable',
      `Unix syslog delivery error: nobody listens on ${localSockets.join(', ')}; say --log-opt syslog-address`,
    );
  }
}
