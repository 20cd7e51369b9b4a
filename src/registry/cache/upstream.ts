/**
 * Another registry that some of our repositories come from. Whoever asks it does so by `ask`, which knows when it must be left alone: after 429 for as long as it said, after it could not be reached for
 * a short while. Clients' credentials never get here; it is asked with its own, or as nobody.
 */
import { EngineError } from '../../base/errors.ts';
import type { RegistryClient, RegistryCredentials, Repository } from '../../distribution/registry-client.ts';
import { RegistryError } from '../../distribution/registry-error.ts';
import { RegistryRefusal } from '../registry-refusal.ts';

export interface UpstreamOptions {
  /** Of our repositories, whole components; '' is all of them. */
  readonly prefix: string;
  /** Null: ours, not fetched. */
  readonly source: UpstreamSource | null;
}

export interface UpstreamSource {
  /** `docker.io` */
  readonly registry: string;
  /** In front of the path there; '' is nothing. */
  readonly path: string;
  readonly ttlMs: number;
  readonly client: RegistryClient;
  readonly credentials: RegistryCredentials | null;
}

/** Which repository at which upstream one of ours is. */
export interface UpstreamPlace {
  readonly upstream: Upstream;
  readonly repository: Repository;
}

/** How long one that could not be reached is left alone. */
const leftAloneMs = 5_000;
/** Whatever it asks for: one odd answer must not end it for good. */
const longestRestMs = 3_600_000;
/** After a 429 that does not say how long. */
const rateLimitMs = 60_000;

export class Upstream {
  readonly name: string;
  readonly ttlMs: number;
  readonly #source: UpstreamSource;
  readonly #now: () => number;
  #leaveAlone: { readonly until: number; readonly why: RegistryRefusal } | null = null;

  constructor(source: UpstreamSource, now: () => number) {
    this.#source = source;
    this.name = source.registry;
    this.ttlMs = source.ttlMs;
    this.#now = now;
  }

  repository(rest: string): Repository {
    const { registry, path, client, credentials } = this.#source;
    const whole = [path, rest].filter(Boolean).join('/');
    const isOfficial = registry === 'docker.io' && !whole.includes('/');
    return client.repository({ domain: registry, path: isOfficial ? `library/${whole}` : whole }, credentials);
  }

  /** Errors are refusals: what upstream said, in words for whoever asked us. */
  async ask<T>(work: () => Promise<T>): Promise<T> {
    const refused = this.leaveAlone();
    if (refused !== null) throw refused;
    try {
      return await work();
    } catch (thrown) {
      throw this.refusal(thrown);
    }
  }

  /** Null: it may be asked. */
  leaveAlone(): RegistryRefusal | null {
    const alone = this.#leaveAlone;
    if (alone === null) return null;
    const leftMs = alone.until - this.#now();
    if (leftMs <= 0) return null;
    const { refusal, message, status } = alone.why;
    const seconds = Math.ceil(leftMs / 1000);
    return new RegistryRefusal(refusal, `${message} (it is asked again in ${seconds} s)`, null, status, seconds);
  }

  refusal(thrown: unknown): unknown {
    if (!(thrown instanceof EngineError) || thrown instanceof RegistryRefusal) return thrown;
    const status = thrown instanceof RegistryError ? thrown.failure.status : null;
    const said = `upstream ${this.name}: ${thrown.message}`;
    if (status === 429) return this.#rest('TOOMANYREQUESTS', said, thrown, rateLimitMs);
    switch (thrown.code) {
      case 'not-found':
        return new RegistryRefusal('MANIFEST_UNKNOWN', said);
      case 'unauthorized':
        return new RegistryRefusal('DENIED', `${said}. The operator of this registry can set username and passwordFile for this upstream`);
      case 'forbidden':
        return new RegistryRefusal('DENIED', said);
      case 'unavailable':
        return this.#rest('UNAVAILABLE', said, thrown, leftAloneMs);
      case 'system':
        return thrown;
      default:
        return new RegistryRefusal('UNAVAILABLE', said, null, 502);
    }
  }

  #rest(code: 'TOOMANYREQUESTS' | 'UNAVAILABLE', message: string, thrown: EngineError, defaultMs: number): RegistryRefusal {
    const asked = (thrown instanceof RegistryError ? thrown.failure.retryAfterMs : undefined) ?? defaultMs;
    const restMs = Math.min(asked, longestRestMs);
    const why = new RegistryRefusal(code, message, null, undefined, Math.max(1, Math.ceil(restMs / 1000)));
    this.#leaveAlone = { until: this.#now() + restMs, why };
    return why;
  }
}

/** It can't be asked now, so what is here is served even if it may be old. What it refuses it refuses. */
export function isAbsence(thrown: unknown): boolean {
  return thrown instanceof RegistryRefusal && (thrown.refusal === 'UNAVAILABLE' || thrown.refusal === 'TOOMANYREQUESTS');
}

export class Upstreams {
  readonly #entries: readonly { readonly prefix: string; readonly upstream: Upstream | null }[];

  constructor(options: readonly UpstreamOptions[], now: () => number) {
    this.#entries = options
      .map(({ prefix, source }) => ({ prefix, upstream: source && new Upstream(source, now) }))
      .sort((one, other) => other.prefix.length - one.prefix.length);
  }

  /** By the longest prefix; null: ours. */
  placeOf(name: string): UpstreamPlace | null {
    const found = this.#entries.find(({ prefix }) => prefix === '' || name.startsWith(`${prefix}/`));
    if (!found?.upstream) return null;
    const { upstream, prefix } = found;
    const rest = prefix === '' ? name : name.slice(prefix.length + 1);
    let repository: Repository | null = null;
    return {
      upstream,
      // Most requests need nothing of upstream.
      get repository() {
        repository ??= upstream.repository(rest);
        return repository;
      },
    };
  }
}
