/**
 * Log drivers at work, for all containers: who is fed, from when to when.
 *
 *   start ──▶ `check` (the receiver can be reached) ──▶ `follow` until the process ends ──▶ the rest is sent ──▶ next start, or `leave` at the removal
 *
 * A daemon that starts goes on with `follow` for what runs, and `resume` for what ended meanwhile. Also compresses rotated files, where that is asked for.
 */
import { join } from 'node:path';
import { EngineError, errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Container } from './container.ts';
import { logPlan } from './log-config.ts';
import { StoredCursor } from './log-cursor.ts';
import { LogForwarder } from './log-forwarder.ts';
import type { LogFeed } from './log-news.ts';
import { logSubject } from './logging/log-subject.ts';

/** A removal waits so long for a receiver that takes lines, however slowly. */
const deliveryMs = 10_000;

export class LogDelivery {
  readonly #logger: Logger;
  readonly #forwarders = new Map<string, LogForwarder>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Before a start: throws when the driver says that its receiver must be there, and it is not. */
  async check(container: Container): Promise<void> {
    const { sink } = logPlan(container.hostConfig.LogConfig);
    if (sink === null || sink.lazy) return;
    const opened = sink.open(logSubject(container.record));
    try {
      await opened.connect(new AbortController().signal);
    } catch (error) {
      throw new EngineError('system', `failed to initialize logging driver: ${errorText(error)}`, { cause: error });
    } finally {
      opened.close();
    }
  }

  /** From the start of a process, or its adoption, to its last line. */
  follow(container: Container, feed: LogFeed): void {
    const { spool } = logPlan(container.hostConfig.LogConfig);
    if (spool?.compress === true) {
      container.logStore.archive(this.#logger);
      feed.onRotated = () => container.logStore.archive(this.#logger);
    }
    void this.#forwarderOf(container)?.run(feed.follow());
  }

  /** Of a container that does not run: what was not sent yet, and not compressed. */
  resume(container: Container): void {
    const { spool } = logPlan(container.hostConfig.LogConfig);
    if (spool?.compress === true) container.logStore.archive(this.#logger);
    void this.#forwarderOf(container)?.run(null);
  }

  /** Before the files of a container are removed. What cannot be delivered now never will be. */
  async leave(container: Container): Promise<void> {
    const forwarder = this.#forwarders.get(container.id);
    if (forwarder !== undefined) {
      this.#forwarders.delete(container.id);
      if (!(await forwarder.settled(deliveryMs))) {
        this.#logger.warn({ container: container.id }, 'a container is removed before all of its log lines could be delivered');
      }
      await forwarder.close();
    }
    await container.logStore.close();
  }

  /** Containers write on; the next daemon sends it. */
  async close(): Promise<void> {
    await Promise.all([...this.#forwarders.values()].map((forwarder) => forwarder.close()));
    this.#forwarders.clear();
  }

  #forwarderOf(container: Container): LogForwarder | null {
    const { sink } = logPlan(container.hostConfig.LogConfig);
    if (sink === null) return null;
    const known = this.#forwarders.get(container.id);
    if (known !== undefined) return known;
    const forwarder = new LogForwarder({
      containerId: container.id,
      store: container.logStore,
      cursor: new StoredCursor(join(container.paths.directory, 'log-cursor.json'), this.#logger),
      openSink: () => sink.open(logSubject(container.record)),
      retry: sink.retry,
      logger: this.#logger,
    });
    this.#forwarders.set(container.id, forwarder);
    return forwarder;
  }
}
