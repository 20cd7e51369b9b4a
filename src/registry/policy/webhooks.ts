/**
 * Webhooks: what happened is sent to who wants to know, in the form of Docker's registry notifications, so that existing receivers understand it.
 *
 *     event ─▶ <root>/webhooks/NAME/<time>-<id>.json ─▶ POST, signed ─▶ 2xx: file removed
 *                                                          ├─▶ 4xx: refused for good: dropped, logged
 *                                                          └─▶ else: again after 1 s, 2 s, 4 s … 5 min, until `retryFor` is over
 *
 * The queue is on disk (a file an event, no fsync): it survives a restart and a kill, not a power loss. It is bounded: what comes while `maxQueued` wait is dropped, counted
 * and logged. Events of one webhook are sent in their order, one at a time, each at least once.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errorText, hasErrnoCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { WebhookConfiguration, WebhookEvent } from '../configuration/registry-configuration.ts';
import type { RegistryEvent } from '../registry.ts';
import { type Delivery, sendWebhook } from './send-webhook.ts';

export interface WebhookTarget extends WebhookConfiguration {
  /** Of `secretFile`. */
  readonly secret: string | null;
}

export interface WebhooksOptions {
  readonly directory: string;
  /** What clients call us, for links in events; null: not known. */
  readonly url: string | null;
  readonly logger: Logger;
  readonly onOutcome?: (webhook: string, outcome: 'delivered' | 'failed' | 'dropped') => void;
  /** First pause before a repetition. */
  readonly firstPauseMs?: number;
}

const contentType = 'application/vnd.docker.distribution.events.v2+json';
const longestPauseMs = 300_000;

export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #queues = new Map<string, WebhookQueue>();

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  /** Also for a configuration that was read again: what waits for a webhook that stays is kept. */
  async replace(targets: readonly WebhookTarget[]): Promise<void> {
    for (const [name, queue] of this.#queues)
      if (!targets.some((target) => target.name === name)) {
        this.#queues.delete(name);
        await queue.close();
      }
    for (const target of targets) {
      const queue = this.#queues.get(target.name);
      if (queue === undefined) this.#queues.set(target.name, await WebhookQueue.open(target, this.#options));
      else queue.target = target;
    }
  }

  onEvent(event: RegistryEvent): void {
    const kind = eventKind(event);
    if (kind === null) return;
    for (const queue of this.#queues.values()) {
      const { events, repository } = queue.target;
      if (events.includes(kind) && repository.matches(event.repository)) queue.add(event);
    }
  }

  waiting(): ReadonlyMap<string, number> {
    return new Map([...this.#queues].map(([name, queue]) => [name, queue.size]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }
}

/** What a configuration calls it: `push` is of manifests, `upload` of blobs. */
function eventKind(event: RegistryEvent): WebhookEvent | null {
  switch (event.action) {
    case 'push':
      return 'push';
    case 'delete':
    case 'tag-delete':
      return 'delete';
    case 'mount':
      return 'mount';
    case 'upload':
      return 'upload';
    case 'pull-through':
      return null;
  }
}

class WebhookQueue {
  target: WebhookTarget;
  readonly #options: WebhooksOptions;
  readonly #directory: string;
  /** File names, oldest first. */
  readonly #files: string[];
  readonly #closing = new AbortController();
  /** Writes in the order of events. */
  #writing: Promise<void> = Promise.resolve();
  #sending: Promise<void> | null = null;
  #unwritten = 0;
  /** Of events of one millisecond. */
  #sequence = 0;
  #isDropping = false;

  private constructor(target: WebhookTarget, options: WebhooksOptions, directory: string, files: string[]) {
    this.target = target;
    this.#options = options;
    this.#directory = directory;
    this.#files = files;
    this.#send();
  }

  static async open(target: WebhookTarget, options: WebhooksOptions): Promise<WebhookQueue> {
    const directory = join(options.directory, target.name);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const names = await readdir(directory);
    for (const name of names.filter((candidate) => candidate.endsWith('.new'))) await rm(join(directory, name), { force: true });
    return new WebhookQueue(target, options, directory, names.filter((name) => name.endsWith('.json')).sort());
  }

  get size(): number {
    return this.#files.length + this.#unwritten;
  }

  add(event: RegistryEvent): void {
    if (this.size >= this.target.maxQueued) {
      this.#drop();
      return;
    }
    this.#isDropping = false;
    const id = randomUUID();
    const name = `${String(event.at.getTime()).padStart(15, '0')}-${String(++this.#sequence).padStart(10, '0')}-${id}.json`;
    const content = JSON.stringify({ id, events: [notification(event, id, this.#options.url)] });
    this.#unwritten++;
    this.#writing = this.#writing.then(() => this.#write(name, content)).finally(() => void this.#unwritten--);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
    await this.#sending;
  }

  async #write(name: string, content: string): Promise<void> {
    const path = join(this.#directory, name);
    try {
      await writeFile(`${path}.new`, content, { mode: 0o600 });
      await rename(`${path}.new`, path);
    } catch (error) {
      this.#outcome('dropped');
      this.#options.logger.error(
        { webhook: this.target.name, error: errorText(error) },
        'an event for a webhook could not be kept: it is lost',
      );
      return;
    }
    this.#files.push(name);
    this.#send();
  }

  #drop(): void {
    this.#outcome('dropped');
    if (this.#isDropping) return;
    this.#isDropping = true;
    this.#options.logger.error(
      { webhook: this.target.name, waiting: this.size },
      'the queue of a webhook is full: events are dropped until its receiver takes some',
    );
  }

  #send(): void {
    if (this.#files.length === 0 || this.#closing.signal.aborted) return;
    this.#sending ??= this.#sendAll()
      .catch((error) =>
        this.#options.logger.error({ webhook: this.target.name, error: errorText(error) }, 'the queue of a webhook cannot be read'),
      )
      .finally(() => {
        this.#sending = null;
      });
  }

  async #sendAll(): Promise<void> {
    const { signal } = this.#closing;
    for (let name = this.#files[0]; name !== undefined && !signal.aborted; name = this.#files[0]) {
      const path = join(this.#directory, name);
      const content = await readFile(path, 'utf8').catch((error) => (hasErrnoCode(error, 'ENOENT') ? null : Promise.reject(error)));
      if (content !== null && !(await this.#deliver(content))) return;
      await rm(path, { force: true });
      this.#files.shift();
    }
  }

  /** False: we are being closed, and it is still to be sent. */
  async #deliver(content: string): Promise<boolean> {
    const { signal } = this.#closing;
    const { id, events } = JSON.parse(content) as { readonly id: string; readonly events: readonly { readonly timestamp: string }[] };
    const bornAt = Date.parse(events[0]?.timestamp ?? '') || Date.now();
    for (let pauseMs = this.#options.firstPauseMs ?? 1000; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      // Of the configuration as it is now: a corrected URL counts for what waits.
      const { url, secret, name, retryForMs } = this.target;
      const delivery: Delivery = { id, url, secret, contentType, body: JSON.stringify({ events }) };
      const answer = await sendWebhook(delivery, signal);
      if (answer.kind === 'delivered') {
        this.#outcome('delivered');
        return true;
      }
      if (signal.aborted) return false;
      this.#outcome('failed');
      if (answer.isFinal || Date.now() - bornAt > retryForMs) {
        this.#outcome('dropped');
        this.#options.logger.error(
          { webhook: name, delivery: id, error: answer.why },
          'an event was not delivered to a webhook, and is dropped',
        );
        return true;
      }
      this.#options.logger.warn({ webhook: name, delivery: id, error: answer.why, pauseMs }, 'an event was not delivered to a webhook yet');
      await delay(pauseMs * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});
      if (signal.aborted) return false;
    }
  }

  #outcome(outcome: 'delivered' | 'failed' | 'dropped'): void {
    this.#options.onOutcome?.(this.target.name, outcome);
  }
}

function notification(event: RegistryEvent, id: string, url: string | null) {
  const { repository, digest, tag, mediaType, sizeBytes, writer } = event;
  const folder = event.kind === 'blob' ? 'blobs' : 'manifests';
  return {
    id,
    timestamp: event.at.toISOString(),
    action: event.action === 'tag-delete' ? 'delete' : event.action === 'upload' ? 'push' : event.action,
    target: {
      repository,
      ...(mediaType === null ? {} : { mediaType }),
      ...(digest === null ? {} : { digest, size: sizeBytes, length: sizeBytes }),
      ...(tag === null ? {} : { tag }),
      ...(url === null || digest === null ? {} : { url: `${url}/v2/${repository}/${folder}/${digest}` }),
    },
    request: { addr: writer.address, useragent: writer.userAgent },
    actor: writer.user === null ? {} : { name: writer.user },
  };
}
