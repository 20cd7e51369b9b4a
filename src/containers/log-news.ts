/**
 * News of a running container's log. One feed per run listens to the monitor; any number of followers listen to the feed and leave without a trace.
 */
import type { RunningContainer } from '../runtime/runtime.ts';
import type { LogNews } from './log-files.ts';

export class LogFeed {
  readonly #followers = new Set<FollowerNews>();
  #generation: number;
  #ended = false;
  /** A file was put aside and is complete. */
  onRotated: () => void = () => {};

  constructor(process: RunningContainer) {
    this.#generation = process.logPosition.generation;
    const unsubscribe = process.onLog((position) => {
      const rotated = this.#generation !== position.generation;
      this.#generation = position.generation;
      if (rotated) this.onRotated();
      for (const follower of this.#followers) follower.announce();
    });
    const end = () => {
      this.#ended = true;
      unsubscribe();
      for (const follower of this.#followers) follower.announce();
    };
    void process.exited.then(end, end);
  }

  get generation(): number {
    return this.#generation;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get followers(): number {
    return this.#followers.size;
  }

  follow(): FollowerNews {
    const follower = new FollowerNews(this, () => this.#followers.delete(follower));
    this.#followers.add(follower);
    return follower;
  }
}

export class FollowerNews implements LogNews {
  revision = 0;
  readonly #feed: LogFeed;
  readonly #leave: () => void;
  #left = false;
  #wake: (() => void) | null = null;

  constructor(feed: LogFeed, leave: () => void) {
    this.#feed = feed;
    this.#leave = leave;
  }

  get generation(): number {
    return this.#feed.generation;
  }

  get ended(): boolean {
    return this.#left || this.#feed.ended;
  }

  async changed(seen: number): Promise<void> {
    if (this.revision !== seen) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  announce(): void {
    this.revision++;
    this.#wake?.();
    this.#wake = null;
  }

  /** The client left: a reader that waits goes on at once and finds the end. */
  close(): void {
    this.#left = true;
    this.#leave();
    this.announce();
  }
}
