/**
 * Sends the lines of one container to its log driver's receiver:
 *
 *   files ──▶ block of lines ──send──▶ receiver ──▶ cursor ──▶ next block        a send that fails is repeated with the same lines, for ever by default
 *
 * Files outlive daemon and receiver, so what was written while either was away is sent when both are back. Every line is sent at least once: what was sent
 * within a fifth of a second before a crash of the daemon, or with a send that failed half-way, may be sent twice. What the files no longer hold (a receiver that was away for too long) is lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { StoredCursor } from './log-cursor.ts';
import { entriesOf, timeNanoOf } from './log-entries.ts';
import { type LogNews, readLogBlocks } from './log-files.ts';
import type { LogStore } from './log-store.ts';
import type { LogMessage, LogSink, RetryPolicy } from './logging/log-driver.ts';

const longestWaitMs = 10_000;

export interface ForwarderParts {
  readonly containerId: string;
  readonly store: LogStore;
  readonly cursor: StoredCursor;
  /** One for each run: tags tell the container's name of then, and what has ended keeps no connection. */
  readonly openSink: () => LogSink;
  readonly retry: RetryPolicy;
  readonly logger: Logger;
}

/** A reader that waits for news goes on, and finds the end, when they are closed. */
type ClosableNews = LogNews & { close(): void };

export class LogForwarder {
  readonly #parts: ForwarderParts;
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #failing = false;
  #runs = 0;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
  }

  /** Sends what is there and, with news (which it closes), what comes; runs of one container go one after the other. */
  run(news: ClosableNews | null): Promise<void> {
    this.#runs++;
    this.#work = this.#work.then(() => this.#run(news)).finally(() => this.#runs--);
    return this.#work;
  }

  get idle(): boolean {
    return this.#runs === 0;
  }

  /** The receiver did not take the last lines that it was sent. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Resolves when everything was sent, or nothing can be for now, or time is up. */
  async settled(limitMs: number): Promise<boolean> {
    const until = Date.now() + limitMs;
    while (!this.idle && !this.#failing && Date.now() < until) await Promise.race([this.#work, delay(50)]);
    return this.idle;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#work;
    await this.#parts.cursor.flush();
  }

  async #run(news: ClosableNews | null): Promise<void> {
    const { store, cursor, logger, containerId } = this.#parts;
    const { signal } = this.#stop;
    const sink = this.#parts.openSink();
    const leave = () => news?.close();
    signal.addEventListener('abort', leave, { once: true });
    try {
      if (signal.aborted) return;
      for await (const { lines, end } of readLogBlocks(store, { tail: null, news, from: await cursor.load() })) {
        if (!(await this.#deliver(sink, messagesOf(lines)))) return;
        cursor.advance(end);
      }
      await cursor.flush();
    } catch (error) {
      logger.error({ container: containerId, error: errorText(error) }, 'cannot read the log of a container in order to send it');
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
      sink.close();
    }
  }

  /** False: given up, the daemon stops. */
  async #deliver(sink: LogSink, messages: readonly LogMessage[]): Promise<boolean> {
    const { signal } = this.#stop;
    const { retry, logger, containerId } = this.#parts;
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        if (messages.length > 0) await sink.send(messages, signal);
        if (this.#failing) logger.info({ container: containerId }, 'the log driver of a container delivers again');
        this.#failing = false;
        return true;
      } catch (error) {
        if (signal.aborted) return false;
        const last = retry.maxRetries !== null && tries >= retry.maxRetries;
        if (last)
          logger.warn({ container: containerId, lines: messages.length, error: errorText(error) }, 'log lines of a container are dropped');
        else if (!this.#failing)
          logger.warn({ container: containerId, error: errorText(error) }, 'log lines of a container cannot be delivered; they wait');
        this.#failing = true;
        if (last) return true;
        await this.#wait(Math.min(retry.waitMs * 2 ** Math.min(tries, 16), Math.max(longestWaitMs, retry.waitMs)));
      }
    }
    return false;
  }

  async #wait(milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
  }
}

function messagesOf(lines: Buffer): LogMessage[] {
  const messages: LogMessage[] = [];
  for (const { stderr, time, text, newlineAfter } of entriesOf(lines)) {
    const whole = newlineAfter ? `${text}\n` : text.toString();
    const ends = whole.endsWith('\n');
    messages.push({ stderr, timeNano: timeNanoOf(time), text: ends ? whole.slice(0, -1) : whole, partial: !ends });
  }
  return messages;
}
