/**
 * A build on a terminal, redrawn in place: a title with counts, a line for each step with its time, and below those that run what they transfer and the last
 * lines they wrote. When it is over everything is printed once more, whole, and stays.
 *
 *     [+] Building 4.1s (5/9)
 *      => CACHED [1/3] FROM docker.io/library/busybox                           0.0s
 *      => [2/3] RUN make                                                        3.4s
 *      => => # cc -c b.c
 */
import type { BuildProgress } from '../../../client/build-types.ts';
import type { CliOutput } from '../../cli-io.ts';
import { OutputClosed } from '../../output.ts';
import { LiveBlock } from '../../progress/live-block.ts';
import { clipText, tameText, visibleWidth } from '../../progress/visible-text.ts';
import type { BuildDisplay } from './build-display.ts';
import { BuildModel, isCanceled, type Step, secondsOf } from './build-model.ts';
import { amountsText } from './step-text.ts';

const REDRAW_EVERY_MS = 100;
const TAIL_LINES = 6;
const BLUE = '\x1b[34m';
const RED = '\x1b[31m';
const YELLOW = '\x1b[33m';
const END = '\x1b[0m';

export interface TerminalDisplayOptions {
  readonly output: CliOutput;
  readonly colours: boolean;
  /** Milliseconds. */
  readonly clock?: () => number;
}

export class TerminalDisplay implements BuildDisplay {
  readonly #output: CliOutput;
  readonly #block: LiveBlock;
  readonly #colours: boolean;
  readonly #clock: () => number;
  readonly #model = new BuildModel();
  readonly #timer: NodeJS.Timeout;
  readonly #startedAt: number;

  constructor({ output, colours, clock = Date.now }: TerminalDisplayOptions) {
    this.#output = output;
    this.#block = new LiveBlock(output);
    this.#colours = colours;
    this.#clock = clock;
    this.#startedAt = clock();
    this.#timer = setInterval(this.refresh, REDRAW_EVERY_MS);
    output.on('resize', this.refresh);
  }

  show(event: BuildProgress): void {
    this.#model.accept(event, this.#clock());
  }

  end(): void {
    clearInterval(this.#timer);
    this.#output.off('resize', this.refresh);
    const { columns } = this.#block;
    const now = this.#model.now(this.#clock());
    const lines = this.#steps().flatMap((step) => this.#linesOf(step, now, columns, true));
    this.#block.draw([]);
    this.#block.print([this.#title(' FINISHED'), ...lines].map((line) => `${clipText(line, columns)}\n`).join(''));
  }

  /** A reader that went away is noticed at the end: here nobody could catch it. */
  readonly refresh = (): void => {
    try {
      this.#draw();
    } catch (error) {
      if (!(error instanceof OutputClosed)) throw error;
      clearInterval(this.#timer);
    }
  };

  #draw(): void {
    const { columns, rows } = this.#block;
    const now = this.#model.now(this.#clock());
    const groups = this.#steps().map((step) => ({ isOver: step.completedAt !== null, lines: this.#linesOf(step, now, columns, false) }));
    this.#block.draw([this.#title(''), ...fitting(groups, rows - 1)]);
  }

  /** What has not begun has nothing to show. */
  #steps(): readonly Step[] {
    return this.#model.steps.filter(({ startedAt, completedAt }) => startedAt !== null || completedAt !== null);
  }

  #title(end: string): string {
    const steps = this.#model.steps;
    const over = steps.filter(({ completedAt }) => completedAt !== null).length;
    return `[+] Building ${((this.#clock() - this.#startedAt) / 1000).toFixed(1)}s (${over}/${steps.length})${end}`;
  }

  #linesOf(step: Step, now: Date, columns: number, isEnd: boolean): string[] {
    const time = `${secondsOf(step, now).toFixed(1)}s`;
    const lines = [this.#coloured(step, twoEnds(` => ${stateWord(step)}${tameText(step.name)}`, time, columns))];
    for (const status of step.statuses.values()) {
      const seconds = Math.max(0, ((status.completedAt ?? now).getTime() - status.startedAt.getTime()) / 1000);
      lines.push(this.#coloured(step, twoEnds(` => => ${tameText(status.id)}${amountsText(status)}`, `${seconds.toFixed(1)}s`, columns)));
    }
    if (step.completedAt === null && !isEnd)
      for (const line of step.log.tail(TAIL_LINES)) lines.push(clipText(` => => # ${tameText(line)}`, columns));
    return lines;
  }

  #coloured(step: Step, line: string): string {
    if (!this.#colours || step.completedAt === null) return line;
    const colour = isCanceled(step) ? YELLOW : step.error !== null ? RED : BLUE;
    return `${colour}${line}${END}`;
  }
}

function stateWord(step: Step): string {
  if (isCanceled(step)) return 'CANCELED ';
  if (step.error !== null) return 'ERROR ';
  return step.cached ? 'CACHED ' : '';
}

/** One text at the left, one at the right. */
function twoEnds(left: string, right: string, columns: number): string {
  const room = columns - right.length - 1;
  if (room < 1) return clipText(left, columns);
  const clipped = clipText(left, room);
  return `${clipped}${' '.repeat(Math.max(0, room - visibleWidth(clipped)))} ${right}`;
}

interface LineGroup {
  readonly isOver: boolean;
  readonly lines: readonly string[];
}

/** As many lines as there are rows: steps that are over give up what is below them, then themselves, the oldest first; then those that run give up their output. */
function fitting(groups: readonly LineGroup[], rows: number): readonly string[] {
  const count = (list: readonly LineGroup[]): number => list.reduce((sum, { lines }) => sum + lines.length, 0);
  let shown = groups;
  if (count(shown) > rows) shown = shown.map(({ isOver, lines }) => ({ isOver, lines: isOver ? lines.slice(0, 1) : lines }));
  for (let spare = count(shown) - rows; spare > 0; spare -= 1) {
    const oldest = shown.findIndex(({ isOver }) => isOver);
    if (oldest === -1) break;
    shown = shown.toSpliced(oldest, 1);
  }
  for (let most = TAIL_LINES; most >= 1 && count(shown) > rows; most -= 1)
    shown = shown.map(({ isOver, lines }) => ({ isOver, lines: lines.slice(0, most) }));
  return shown.flatMap(({ lines }) => lines).slice(0, Math.max(0, rows));
}
