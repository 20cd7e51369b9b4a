/**
 * Every step as lines, for logs:
 *
 *     #7 [build 2/4] RUN make
 *     #7 0.213 cc -c a.c
 *     #7 DONE 1.3s
 *
 * Numbers are given as steps are shown first. One step is shown at a time: another that runs beside it waits until it has ended, or has been shown long
 * enough; then `#7 ...` leaves it and its title comes again.
 */
import type { BuildProgress, VertexProgress } from '../../../client/build-types.ts';
import type { CliOutput } from '../../cli-io.ts';
import { OutputClosed, writeText } from '../../output.ts';
import { tameText } from '../../progress/visible-text.ts';
import type { BuildDisplay } from './build-display.ts';
import { BuildModel, isCanceled, type Step, secondsOf } from './build-model.ts';
import { amountsText, statusTimeText } from './step-text.ts';

const FLUSH_EVERY_MS = 100;
/** How long others wait behind a step that goes on. */
const PATIENCE_MS = 5000;
const STATUS_EVERY_MS = 1000;

interface Shown {
  readonly number: number;
  readonly statusAt: Map<string, { readonly at: number; readonly isDone: boolean }>;
  isOver: boolean;
}

export interface PlainDisplayOptions {
  readonly output: CliOutput;
  /** Milliseconds. */
  readonly clock?: () => number;
}

export class PlainDisplay implements BuildDisplay {
  readonly #output: CliOutput;
  readonly #clock: () => number;
  readonly #model = new BuildModel();
  readonly #shown = new Map<string, Shown>();
  /** What has something to tell, since when. */
  readonly #waiting = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #current: Step | null = null;
  #currentSince = 0;
  #hasPrinted = false;

  constructor({ output, clock = Date.now }: PlainDisplayOptions) {
    this.#output = output;
    this.#clock = clock;
  }

  show(event: BuildProgress): void {
    const now = this.#clock();
    const step = this.#model.accept(event, now);
    if (step === null || event.kind === 'explanation') return;
    if (!this.#waiting.has(step.digest)) this.#waiting.set(step.digest, now);
    this.#timer ??= setTimeout(this.#tick, FLUSH_EVERY_MS);
  }

  end(): void {
    this.flush();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // What never ended has still written something.
    for (const step of this.#model.steps) if (this.#waiting.has(step.digest) && step.startedAt !== null) this.#print(step, true);
  }

  /** Shows what can be shown now. */
  flush(): void {
    const dirty = this.#model.steps.filter(({ digest, startedAt }) => startedAt !== null && this.#waiting.has(digest));
    const ended = dirty.filter(({ completedAt }) => completedAt !== null);
    const current = this.#current;
    // What is shown already goes first, so that it need not be left.
    for (const step of ended.toSorted((a, b) => Number(b === current) - Number(a === current))) this.#print(step);
    const running = dirty.filter(({ completedAt }) => completedAt === null);
    const next = this.#choose(running);
    if (next !== null) this.#print(next);
    if (dirty.some(({ digest }) => this.#waiting.has(digest))) this.#timer ??= setTimeout(this.#tick, FLUSH_EVERY_MS);
  }

  /** The one that is shown, unless others have waited long. */
  #choose(running: readonly Step[]): Step | null {
    const now = this.#clock();
    const current = this.#current?.completedAt === null ? this.#current : null;
    const others = running.filter((step) => step !== current);
    const longest = others.toSorted((a, b) => (this.#waiting.get(a.digest) ?? 0) - (this.#waiting.get(b.digest) ?? 0))[0] ?? null;
    if (current === null) return longest;
    const patienceIsOver =
      longest !== null && now - (this.#waiting.get(longest.digest) ?? now) > PATIENCE_MS && now - this.#currentSince > PATIENCE_MS;
    if (patienceIsOver) return longest;
    return running.includes(current) ? current : null;
  }

  readonly #tick = (): void => {
    this.#timer = null;
    try {
      this.flush();
    } catch (error) {
      // Noticed with the next event: here nobody could catch it.
      if (!(error instanceof OutputClosed)) throw error;
    }
  };

  #print(step: Step, isLast = false): void {
    this.#waiting.delete(step.digest);
    const shown = this.#shown.get(step.digest) ?? { number: this.#shown.size + 1, statusAt: new Map(), isOver: false };
    const lines = this.#lines(step, shown, isLast);
    const isNew = !this.#shown.has(step.digest);
    if (lines.length === 0 && !isNew) return;
    this.#shown.set(step.digest, shown);
    let text = '';
    if (this.#current !== step) {
      text += this.#leave();
      text += `#${shown.number} ${tameText(step.name)}\n`;
      this.#current = step;
      this.#currentSince = this.#clock();
    }
    writeText(this.#output, text + lines.map((line) => `#${shown.number} ${line}\n`).join(''));
    this.#hasPrinted = true;
    if (step.completedAt !== null) this.#current = null;
  }

  /** What stands between two steps. */
  #leave(): string {
    const left = this.#current === null ? undefined : this.#shown.get(this.#current.digest);
    if (left !== undefined) return `#${left.number} ...\n\n`;
    return this.#hasPrinted ? '\n' : '';
  }

  #lines(step: Step, shown: Shown, isLast: boolean): string[] {
    if (shown.isOver) return [];
    const isOver = step.completedAt !== null;
    const lines = [...step.statuses.values()].flatMap((status) => this.#statusLine(status, shown));
    for (const { at, text } of step.log.take(isOver || isLast)) {
      const seconds = Math.max(0, at.getTime() - (step.startedAt ?? at).getTime()) / 1000;
      lines.push(`${seconds.toFixed(3)} ${text}`);
    }
    if (isOver) lines.push(this.#endLine(step));
    shown.isOver = isOver;
    return lines;
  }

  #statusLine(status: VertexProgress, shown: Shown): string[] {
    const isDone = status.completedAt !== undefined;
    const before = shown.statusAt.get(status.id);
    const now = this.#clock();
    if (before?.isDone === true || (!isDone && now - (before?.at ?? status.startedAt.getTime()) < STATUS_EVERY_MS)) return [];
    shown.statusAt.set(status.id, { at: now, isDone });
    return [`${status.id}${amountsText(status)}${statusTimeText(status, this.#model.now(now))}`];
  }

  #endLine(step: Step): string {
    if (isCanceled(step)) return 'CANCELED';
    if (step.error !== null) return `ERROR: ${tameText(step.error)}`;
    return step.cached ? 'CACHED' : `DONE ${secondsOf(step, this.#model.now(this.#clock())).toFixed(1)}s`;
  }
}
