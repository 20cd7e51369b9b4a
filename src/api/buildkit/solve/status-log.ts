/**
 * What one build told, as `Control.Status` streams it: from its beginning for whoever asks, also after its end. Listeners that are behind get what is new in one message; output that
 * nobody came for is dropped from its start when there is too much of it.
 */
import type { BuildEvent, BuildWarning, Vertex, VertexStatus } from '../../../build/build-event.ts';
import { type StatusMessage, timestampOf } from '../messages/control.ts';

/** The Dockerfile, as far as it is known, for excerpts beside warnings and errors. */
export interface ShownFile {
  readonly name: string;
  readonly text: Uint8Array;
}

type Place = NonNullable<Vertex['place']>;
type StatusEvent = Exclude<BuildEvent, { kind: 'plan' | 'explanation' }>;

const outputLimitBytes = 16 * 1024 * 1024;
const eventsInMessage = 2000;
const outputInMessageBytes = 1024 * 1024;

export class StatusLog {
  readonly #events: (StatusEvent & { readonly reportedAt: Date })[] = [];
  /** Number of the first event that is still here. */
  #first = 0;
  #outputBytes = 0;
  #ended = false;
  #wake = Promise.withResolvers<void>();
  #file: ShownFile | null = null;
  #failedAt: Place | null = null;
  #firstVertex: string | null = null;

  get file(): ShownFile | null {
    return this.#file;
  }

  /** Of the step that failed. */
  get failedAt(): Place | null {
    return this.#failedAt;
  }

  gotFile(file: ShownFile): void {
    this.#file = file;
  }

  add(event: BuildEvent): void {
    if (this.#ended || event.kind === 'plan' || event.kind === 'explanation') return;
    if (event.kind === 'vertex' && event.vertex.error !== undefined) this.#failedAt = event.vertex.place ?? this.#failedAt;
    if (event.kind === 'vertex') this.#firstVertex ??= event.vertex.digest;
    this.#events.push({ ...this.#placed(event), reportedAt: new Date() });
    if (event.kind === 'log') this.#makeRoom(event.bytes.length);
    this.#notify();
  }

  /** Clients show warnings with the vertex that they belong to, and no others. */
  #placed(event: StatusEvent): StatusEvent {
    if (event.kind !== 'warning' || event.warning.vertex !== '' || this.#firstVertex === null) return event;
    return { kind: 'warning', warning: { ...event.warning, vertex: this.#firstVertex } };
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  async *messages(signal: AbortSignal): AsyncGenerator<Partial<StatusMessage>, void, undefined> {
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (let next = 0; ; ) {
        signal.throwIfAborted();
        next = Math.max(next, this.#first);
        const wake = this.#wake.promise;
        const batch = this.#batch(next);
        next += batch.length;
        if (batch.length > 0) yield messageOf(batch, this.#file);
        else if (this.#ended) return;
        else await Promise.race([wake, aborted.promise]);
      }
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #batch(from: number): readonly (StatusEvent & { readonly reportedAt: Date })[] {
    let bytes = 0;
    const start = from - this.#first;
    for (let at = start; at < Math.min(this.#events.length, start + eventsInMessage); at += 1) {
      const event = this.#events[at];
      if (event?.kind === 'log') bytes += event.bytes.length;
      if (bytes > outputInMessageBytes) return this.#events.slice(start, at + 1);
    }
    return this.#events.slice(start, start + eventsInMessage);
  }

  #makeRoom(addedBytes: number): void {
    this.#outputBytes += addedBytes;
    while (this.#outputBytes > outputLimitBytes) {
      const dropped = this.#events.shift();
      this.#first += 1;
      if (dropped?.kind === 'log') this.#outputBytes -= dropped.bytes.length;
    }
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** Of several states of a vertex or status the last one is told: the client would merge them the same way. */
export function messageOf(
  events: readonly (StatusEvent & { readonly reportedAt?: Date })[],
  file: ShownFile | null,
): Partial<StatusMessage> {
  const vertexes = new Map<string, Vertex>();
  const statuses = new Map<string, { readonly status: VertexStatus; readonly at: Date }>();
  const logs: StatusMessage['logs'][number][] = [];
  const warnings: StatusMessage['warnings'][number][] = [];
  for (const event of events) {
    if (event.kind === 'vertex') vertexes.set(event.vertex.digest, event.vertex);
    else if (event.kind === 'status')
      statuses.set(`${event.status.vertex} ${event.status.id}`, { status: event.status, at: event.reportedAt ?? new Date() });
    else if (event.kind === 'log')
      logs.push({ vertex: event.vertex, timestamp: timestampOf(event.at), stream: event.stream === 'stdout' ? 1 : 2, bytes: event.bytes });
    else warnings.push(warningMessage(event.warning, file));
  }
  return {
    vertexes: [...vertexes.values()].map(vertexMessage),
    statuses: [...statuses.values()].map(({ status, at }) => statusMessage(status, at)),
    logs,
    warnings,
  };
}

function vertexMessage({ digest, inputs, name, cached, startedAt, completedAt, error }: Vertex): StatusMessage['vertexes'][number] {
  return {
    digest,
    inputs,
    name,
    cached: cached ?? false,
    startedAt: startedAt === undefined ? null : timestampOf(startedAt),
    completedAt: completedAt === undefined ? null : timestampOf(completedAt),
    error: error ?? '',
  };
}

function statusMessage(status: VertexStatus, at: Date): StatusMessage['statuses'][number] {
  const { id, vertex, name, current, total, startedAt, completedAt } = status;
  return {
    id,
    vertex,
    name,
    current,
    total,
    timestamp: timestampOf(at),
    startedAt: timestampOf(startedAt),
    completedAt: completedAt === undefined ? null : timestampOf(completedAt),
  };
}

function warningMessage({ short, detail, url, place, vertex }: BuildWarning, file: ShownFile | null): StatusMessage['warnings'][number] {
  return {
    vertex,
    level: 1,
    short: Buffer.from(short),
    detail: detail === '' ? [] : [Buffer.from(detail)],
    url,
    ...(file === null || place === null ? {} : { info: sourceInfo(file), ranges: [rangeOf(place)] }),
  };
}

export function sourceInfo({ name, text }: ShownFile): { readonly fileName: string; readonly data: Uint8Array; readonly language: string } {
  return { fileName: name, data: text, language: 'Dockerfile' };
}

export function rangeOf({ startLine, endLine }: Place) {
  return { start: { line: startLine, character: 0 }, end: { line: endLine, character: 0 } };
}
