/**
 * A token bucket for each of many keys (addresses, users): `burst` at once, then so many per second. A bucket that is full again is forgotten; of more keys than fit, those
 * longest unseen are.
 */
export interface BucketSize {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

const maxBuckets = 50_000;

export class TokenBuckets {
  readonly #size: BucketSize;
  readonly #now: () => number;
  /** In order of use. */
  readonly #buckets = new Map<string, Bucket>();

  /** `now` in milliseconds. */
  constructor(size: BucketSize, now: () => number = () => performance.now()) {
    this.#size = size;
    this.#now = now;
  }

  /** Seconds until one may be taken; 0: now. */
  wait(key: string): number {
    const tokens = this.#tokens(this.#buckets.get(key));
    return tokens >= 1 ? 0 : (1 - tokens) / this.#size.requestsPerSecond;
  }

  take(key: string): void {
    const tokens = this.#tokens(this.#buckets.get(key));
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: Math.max(0, tokens - 1), at: this.#now() });
    if (this.#buckets.size > maxBuckets) this.#forget();
  }

  /** 0: taken; else the seconds to wait. */
  takeOrWait(key: string): number {
    const seconds = this.wait(key);
    if (seconds === 0) this.take(key);
    return seconds;
  }

  giveBack(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.tokens += 1;
  }

  get size(): number {
    return this.#buckets.size;
  }

  #tokens(bucket: Bucket | undefined): number {
    const { requestsPerSecond, burst } = this.#size;
    if (bucket === undefined) return burst;
    return Math.min(burst, bucket.tokens + ((this.#now() - bucket.at) / 1000) * requestsPerSecond);
  }

  /** Full ones first: they say nothing. A tenth at least, so that the next look over all of them is far off. */
  #forget(): void {
    for (const [key, bucket] of this.#buckets) if (this.#tokens(bucket) >= this.#size.burst) this.#buckets.delete(key);
    for (const key of this.#buckets.keys()) {
      if (this.#buckets.size <= maxBuckets * 0.9) return;
      this.#buckets.delete(key);
    }
  }
}
