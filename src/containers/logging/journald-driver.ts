/**
 * The `journald` driver: journald's native protocol, one datagram an entry, on /run/systemd/journal/socket.
 *
 *   PRIORITY=6\n                    a field without a newline in its value
 *   MESSAGE\n <u64 le> bytes \n     any field
 *
 * journald takes entries larger than a datagram through a memfd. Lines have at most 16 KiB, so only labels and variables can make one that large: it is sent
 * without them then.
 */
import { existsSync } from 'node:fs';
import { EngineError, SystemCallError } from '../../base/errors.ts';
import { UnixDatagram } from '../../linux/unix-datagram-socket.ts';
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
import { requireKnown } from './option-values.ts';

const journaldSocket = '/run/systemd/journal/socket';

export const journaldDriver: LogDriver = {
  name: 'journald',
  showsPath: false,
  spool: cacheSpool,
  sink: (options) => journaldPlan(options, journaldSocket),
};

export function journaldPlan(options: LogOptions, socketPath: string): SinkPlan {
  requireKnown(options, attributeOptions, 'journald log driver');
  checkAttributeOptions(options);
  checkTag(options.tag);
  return { lazy: false, retry: defaultRetry, open: (subject) => new JournaldSink(socketPath, options, subject) };
}

class JournaldSink implements LogSink {
  readonly #path: string;
  readonly #socket: UnixDatagram;
  readonly #own: Buffer;
  readonly #extra: Buffer;

  constructor(path: string, options: LogOptions, subject: LogSubject) {
    const tag = renderTag(options.tag || defaultTag, subject);
    this.#path = path;
    this.#socket = new UnixDatagram(path);
    this.#own = fields({
      CONTAINER_ID: subject.id.slice(0, 12),
      CONTAINER_ID_FULL: subject.id,
      CONTAINER_NAME: subject.name,
      CONTAINER_TAG: tag,
      IMAGE_NAME: subject.imageName,
      SYSLOG_IDENTIFIER: tag,
    });
    const extra = Object.entries(extraAttributes(options, subject)).map(([name, value]) => [fieldName(name), value]);
    this.#extra = fields(Object.fromEntries(extra.filter(([name]) => name !== '')));
  }

  async connect(): Promise<void> {
    if (!existsSync(this.#path)) {
      throw new EngineError('unavailable', `journald is not enabled on this host: there is no ${this.#path}; use another --log-driver`);
    }
    this.#socket.connect();
  }

  async send(messages: readonly LogMessage[], signal: AbortSignal): Promise<void> {
    for (const message of messages) await this.#sendOne(journalMessage(message), signal);
  }

  close(): void {
    this.#socket.close();
  }

  async #sendOne(message: Buffer, signal: AbortSignal): Promise<void> {
    try {
      await this.#socket.send(Buffer.concat([message, this.#own, this.#extra]), signal);
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.errnoName !== 'EMSGSIZE') throw error;
      await this.#socket.send(Buffer.concat([message, this.#own]), signal);
    }
  }
}

function journalMessage({ stderr, timeNano, text, partial }: LogMessage): Buffer {
  const seconds = new Date(Number(timeNano / 1_000_000n)).toISOString().slice(0, 19);
  return fields({
    MESSAGE: text,
    PRIORITY: stderr ? '3' : '6',
    SYSLOG_TIMESTAMP: `${seconds}.${String(timeNano % 1_000_000_000n).padStart(9, '0')}Z`,
    ...(partial ? { CONTAINER_PARTIAL_MESSAGE: 'true' } : {}),
  });
}

function fields(values: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(values).map(([name, value]) => field(name, value)));
}

function field(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

/** Capitals, digits and underscores, not beginning with an underscore (those are journald's own) or a digit. */
function fieldName(label: string): string {
  return label
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '_')
    .replace(/^[_0-9]+/, '')
    .slice(0, 64);
}
