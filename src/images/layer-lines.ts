/** What a pull or push tells of each layer, in Docker's words and no more often than anybody can see. */
import type { Digest } from '../base/brand.ts';
import { shortId } from '../oci/digest.ts';
import type { ImageProgress } from './catalogue.ts';

const betweenMs = 100;

export class LayerLines {
  readonly #onProgress: (progress: ImageProgress) => void;
  readonly #told = new Map<Digest, { status: string; at: number }>();

  constructor(onProgress: (progress: ImageProgress) => void) {
    this.#onProgress = onProgress;
  }

  say(digest: Digest, status: string): void {
    this.#told.set(digest, { status, at: 0 });
    this.#onProgress({ kind: 'step', id: shortId(digest), text: status });
  }

  bytes(digest: Digest, status: string, current: number, total: number): void {
    const last = this.#told.get(digest);
    const at = performance.now();
    if (last?.status === status && at - last.at < betweenMs) return;
    this.#told.set(digest, { status, at });
    this.#onProgress({ kind: 'progress', id: shortId(digest), status, current, total });
  }
}
