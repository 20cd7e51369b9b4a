/**
 * What happened, in the order it happened: one list for containers, images and everything to come. It keeps the last events for `since`, and hands new ones
 * to listeners synchronously, so nobody sees them in another order.
 */
import type { Filters } from '../wire/filters.ts';

export interface EngineEvent {
  readonly type: 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'builder';
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch; never smaller than that of the event before. */
  readonly timeNano: bigint;
}

const keptEvents = 1024;

export class EngineEvents {
  readonly #kept: EngineEvent[] = [];
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  #lastNano = 0n;

  get listenerCount(): number {
    return this.#listeners.size;
  }

  publish(event: Omit<EngineEvent, 'timeNano'> & { readonly timeNano?: bigint }): void {
    const now = event.timeNano ?? BigInt(Date.now()) * 1_000_000n;
    this.#lastNano = now > this.#lastNano ? now : this.#lastNano + 1n;
    const stamped = { ...event, timeNano: this.#lastNano };
    this.#kept.push(stamped);
    if (this.#kept.length > keptEvents) this.#kept.shift();
    for (const listener of this.#listeners) listener(stamped);
  }

  /** Kept events from `since` to `until`, both included. */
  replay(since: bigint, until: bigint | null): readonly EngineEvent[] {
    return this.#kept.filter(({ timeNano }) => timeNano >= since && (until === null || timeNano <= until));
  }

  subscribe(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export const eventFilterKeys: ReadonlySet<string> = new Set(
  'config container daemon event image label network node plugin scope secret service type volume'.split(' '),
);

/** Same key: any value; different keys: all of them; `label`: all of its values. */
export function matchesEvent(event: EngineEvent, filters: Filters): boolean {
  return Object.entries(filters).every(([key, values]) => values.length === 0 || matchesKey(event, key, values));
}

function matchesKey(event: EngineEvent, key: string, values: readonly string[]): boolean {
  switch (key) {
    case 'type':
      return values.includes(event.type);
    case 'event':
      return values.some((value) => event.action === value || event.action.startsWith(`${value}:`));
    case 'scope':
      return values.includes('local');
    case 'label':
      return values.every((value) => hasLabel(event.attributes, value));
    case 'image':
      return values.some((value) => isAboutImage(event, value));
    default:
      return event.type === key && values.some((value) => begins(event.id, value) || begins(event.attributes.name ?? '', value));
  }
}

/** Docker takes the beginning of a name, too. */
function begins(text: string, wanted: string): boolean {
  return text.startsWith(wanted.replace(/^\//, ''));
}

function hasLabel(attributes: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf('=');
  const name = equals === -1 ? wanted : wanted.slice(0, equals);
  return Object.hasOwn(attributes, name) && (equals === -1 || attributes[name] === wanted.slice(equals + 1));
}

function isAboutImage(event: EngineEvent, wanted: string): boolean {
  const name = event.type === 'image' ? (event.attributes.name ?? event.id) : event.attributes.image;
  if (event.type !== 'image' && event.type !== 'container') return false;
  return name === wanted || event.id === wanted || (name !== undefined && withoutTag(name) === wanted);
}

function withoutTag(reference: string): string {
  return reference.replace(/(?:@[^/]*|:[^/:]*)$/, '');
}
