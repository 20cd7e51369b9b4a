/**
 * The `fluentd` driver: the forward protocol in Forward mode, many lines a message:
 *
 *   [tag, [[time, {container_id, container_name, source, log, …}], …], {size, chunk?}]      ◀── {ack: chunk}, with fluentd-request-ack
 */
import { randomBytes } from 'node:crypto';
import { invalid } from '../../base/errors.ts';
import { cacheSpool } from './file-drivers.ts';
import { attributeOptions, checkAttributeOptions, extraAttributes } from './log-attributes.ts';
import type { LogDriver, LogMessage, LogOptions, LogSink, LogSubject, SinkPlan } from './log-driver.ts';
import { checkTag, defaultTag, renderTag } from './log-tag.ts';
import { EventTime, type Packable, pack } from './msgpack.ts';
import { parseAddressUrl, parseBoolean, parseDurationMs, parseInteger, parseSize, requireKnown } from './option-values.ts';
import { StreamConnection, type StreamTarget } from './stream-connection.ts';

export const fluentdDriver: LogDriver = { name: 'fluentd', showsPath: false, spool: cacheSpool, sink: fluentdPlan };

const ownOptions =
  'address async async-connect async-reconnect-interval buffer-limit max-retries request-ack retry-wait sub-second-precision write-timeout';
const known = [...attributeOptions, ...ownOptions.split(' ').map((name) => `fluentd-${name}`)];

interface FluentdOptions {
  readonly target: StreamTarget;
  readonly lazy: boolean;
  readonly ack: boolean;
  readonly subSecond: boolean;
  /** 0: a connection is kept. */
  readonly renewMs: number;
}

function fluentdPlan(options: LogOptions): SinkPlan {
  requireKnown(options, known, 'fluentd log driver');
  const fluentd = fluentdOptions(options);
  const { 'fluentd-retry-wait': wait, 'fluentd-max-retries': retries } = options;
  const waitMs = wait === undefined ? 1000 : parseDurationMs(wait);
  const maxRetries = retries === undefined ? null : parseInteger(retries, invalid, 'ParseUint');
  checkAttributeOptions(options);
  checkTag(options.tag);
  return {
    lazy: fluentd.lazy,
    retry: { waitMs, maxRetries },
    open: (subject) => new FluentdSink(fluentd, options, subject),
  };
}

function fluentdOptions(options: LogOptions): FluentdOptions {
  const flag = (name: string): boolean => options[name] !== undefined && parseBoolean(options[name]);
  // Lines wait on the disk, whatever their size; a wrong one is refused all the same.
  if (options['fluentd-buffer-limit'] !== undefined) parseSize(options['fluentd-buffer-limit'], 'memory');
  if (options['fluentd-write-timeout'] !== undefined) parseDurationMs(options['fluentd-write-timeout']);
  return {
    target: fluentdTarget(options['fluentd-address'] ?? ''),
    lazy: flag('fluentd-async') || flag('fluentd-async-connect'),
    ack: flag('fluentd-request-ack'),
    subSecond: flag('fluentd-sub-second-precision'),
    renewMs: renewal(options['fluentd-async-reconnect-interval']),
  };
}

function renewal(text: string | undefined): number {
  const milliseconds = text === undefined ? 0 : parseDurationMs(text);
  if (milliseconds !== 0 && (milliseconds < 100 || milliseconds > 10_000)) {
    throw invalid('invalid value for fluentd-async-reconnect-interval: value (in time) must be between 100ms and 10s');
  }
  return milliseconds;
}

const defaultPort = 24224;

/** `host`, `host:port`, `:port`, `tcp://…`, `tls://…`, `unix:///path` */
function fluentdTarget(text: string): StreamTarget {
  const url = parseAddressUrl(text.includes('://') ? text : `tcp://${text}`);
  if (url === null || !['tcp', 'tls', 'unix'].includes(url.scheme))
    throw invalid(`invalid fluentd-address ${text}: write host:port, tls://host:port or unix:///path`);
  if (url.scheme === 'unix') return { plain: { path: url.path }, tls: null, name: `dial unix ${url.path}` };
  if (url.path !== '' && url.path !== '/') throw invalid(`invalid fluentd-address ${text}: there must be no path in it`);
  const port = url.port === '' ? defaultPort : parseInteger(url.port, (why) => invalid(`invalid fluentd-address ${text}: ${why}`));
  if (port < 1 || port > 65535) throw invalid(`invalid fluentd-address ${text}: dial tcp: address ${port}: invalid port`);
  const plain = { host: url.host || '127.0.0.1', port };
  return { plain, tls: url.scheme === 'tls' ? () => ({ servername: plain.host }) : null, name: `dial tcp ${plain.host}:${port}` };
}

class FluentdSink implements LogSink {
  readonly #options: FluentdOptions;
  readonly #connection: StreamConnection;
  readonly #tag: string;
  readonly #own: Readonly<Record<string, string>>;
  readonly #extra: Readonly<Record<string, string>>;

  constructor(fluentd: FluentdOptions, options: LogOptions, subject: LogSubject) {
    this.#options = fluentd;
    this.#connection = new StreamConnection(fluentd.target);
    this.#tag = renderTag(options.tag || defaultTag, subject);
    this.#own = { container_id: subject.id, container_name: `/${subject.name}` };
    this.#extra = extraAttributes(options, subject);
  }

  connect(signal: AbortSignal): Promise<void> {
    return this.#connection.connect(signal);
  }

  async send(messages: readonly LogMessage[], signal: AbortSignal): Promise<void> {
    if (this.#options.renewMs > 0) this.#connection.renewAfter(this.#options.renewMs);
    const chunk = this.#options.ack ? randomBytes(16).toString('base64') : null;
    const entries = messages.map((message): Packable => [this.#time(message), this.#record(message)]);
    const about = { size: entries.length, ...(chunk === null ? {} : { chunk }) };
    await this.#connection.write(pack([this.#tag, entries, about]), signal, chunk);
  }

  close(): void {
    this.#connection.close();
  }

  #time({ timeNano }: LogMessage): Packable {
    return this.#options.subSecond ? new EventTime(timeNano) : Number(timeNano / 1_000_000_000n);
  }

  #record({ stderr, text, partial }: LogMessage): Packable {
    return {
      ...this.#own,
      source: stderr ? 'stderr' : 'stdout',
      log: text,
      ...this.#extra,
      ...(partial ? { partial_message: 'true' } : {}),
    };
  }
}
