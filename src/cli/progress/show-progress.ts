/**
 * The daemon's progress messages (pull, push, load, import). On a terminal each layer owns a line with bar, rate and time left that is redrawn in place, and a
 * last line sums up; elsewhere every change of state is a line of its own, as Docker's client prints it. An error in the stream ends the command with its words.
 */
import type { ProgressMessage } from '../../client/types.ts';
import { CliError, ExitWithCode } from '../cli-error.ts';
import type { CliOutput } from '../cli-io.ts';
import { OutputClosed, writeText } from '../output.ts';
import { LiveBlock } from './live-block.ts';
import { chooseLayers, finalSummary, layerLine, runningSummary } from './transfer-lines.ts';
import { TransferProgress } from './transfer-progress.ts';

export interface ProgressOptions {
  /** Gets what is meant for programs. */
  readonly onAux?: (aux: unknown) => void;
  /** What to say when the person interrupts. */
  readonly onInterrupt?: string;
}

const REDRAW_EVERY_MS = 100;
/** As a shell says that Ctrl-C ended a program. */
const INTERRUPTED = 130;

/** `output` null: nothing is shown, errors still count. */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  output: CliOutput | null,
  options: ProgressOptions = {},
): Promise<void> {
  if (output?.isTTY !== true) return consume(messages, output === null ? null : new PlainDisplay(output), options);
  using display = new LiveDisplay(output);
  using interrupt = new Interrupt();
  await Promise.race([consume(messages, display, options), interrupt.happens]);
  if (!interrupt.happened) return;
  display.end();
  if (options.onInterrupt !== undefined) writeText(output, `${options.onInterrupt}\n`);
  throw new ExitWithCode(INTERRUPTED);
}

interface Display {
  show(message: ProgressMessage): void;
  /** The stream is over, well or not. */
  end(): void;
}

async function consume(messages: AsyncIterable<ProgressMessage>, display: Display | null, { onAux }: ProgressOptions): Promise<void> {
  try {
    for await (const message of messages) {
      const error = message.errorDetail?.message ?? message.error;
      if (error !== undefined && error !== '') throw new CliError(error, message.errorDetail?.code || 1);
      if (message.aux !== undefined) onAux?.(message.aux);
      else display?.show(message);
    }
  } finally {
    display?.end();
  }
}

class PlainDisplay implements Display {
  readonly #output: CliOutput;
  #progress = new TransferProgress();

  constructor(output: CliOutput) {
    this.#output = output;
  }

  show(message: ProgressMessage): void {
    const now = Date.now();
    const { current = 0, total = 0 } = message.progressDetail ?? {};
    if (!this.#progress.accept(message, now)) this.#sumUp(now);
    if (current <= 0 && total <= 0) writeText(this.#output, lineText(message));
  }

  end(): void {
    this.#sumUp(Date.now());
  }

  #sumUp(now: number): void {
    if (this.#progress.isEmpty || !this.#progress.isSettled) return;
    const summary = finalSummary(this.#progress.totals(now));
    this.#progress = new TransferProgress();
    if (summary !== '') writeText(this.#output, `${summary}\n`);
  }
}

class LiveDisplay implements Display, Disposable {
  readonly #block: LiveBlock;
  readonly #output: CliOutput;
  readonly #timer: NodeJS.Timeout;
  #progress = new TransferProgress();

  constructor(output: CliOutput) {
    this.#output = output;
    this.#block = new LiveBlock(output);
    this.#timer = setInterval(this.#refresh, REDRAW_EVERY_MS);
    output.on('resize', this.#refresh);
  }

  show(message: ProgressMessage): void {
    const now = Date.now();
    if (this.#progress.accept(message, now)) return;
    // What belongs to no layer comes after those that are done, and in front of those that are not.
    if (this.#progress.isSettled) this.#finish(now);
    this.#block.print(lineText(message));
  }

  end(): void {
    clearInterval(this.#timer);
    if (!this.#progress.isEmpty) this.#finish(Date.now());
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#output.off('resize', this.#refresh);
  }

  /** A reader that went away is noticed with the next message: here nobody could catch it. */
  readonly #refresh = (): void => {
    try {
      this.#redraw();
    } catch (error) {
      if (!(error instanceof OutputClosed)) throw error;
      clearInterval(this.#timer);
    }
  };

  #redraw(): void {
    if (this.#progress.isEmpty) return;
    const now = Date.now();
    this.#draw(runningSummary(this.#progress.totals(now), this.#block.columns), now);
  }

  #finish(now: number): void {
    if (this.#progress.isEmpty) return;
    this.#draw('', now);
    this.#block.leave();
    const summary = this.#progress.isSettled ? finalSummary(this.#progress.totals(now)) : '';
    if (summary !== '') this.#block.print(`${summary}\n`);
    this.#progress = new TransferProgress();
  }

  #draw(summary: string, now: number): void {
    const layers = this.#progress.layers(now);
    const { columns, rows } = this.#block;
    const { shown, hidden } = chooseLayers(layers, summary === '' ? rows : rows - 1);
    const lines = shown.map((layer) => layerLine(layer, columns));
    if (hidden > 0) lines.push(`… and ${hidden} more`);
    this.#block.draw(summary === '' ? lines : [...lines, summary]);
  }
}

/** Ctrl-C, while somebody looks at it: the display is put in order before the command ends. */
class Interrupt implements Disposable {
  readonly #happens = Promise.withResolvers<void>();
  happened = false;

  constructor() {
    process.once('SIGINT', this.#onSignal);
  }

  get happens(): Promise<void> {
    return this.#happens.promise;
  }

  readonly #onSignal = (): void => {
    this.happened = true;
    this.#happens.resolve();
  };

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal);
  }
}

function lineText(message: ProgressMessage): string {
  const id = message.id === undefined || message.id === '' ? '' : `${message.id}: `;
  const from = message.from === undefined || message.from === '' ? '' : `(from ${message.from}) `;
  if (message.stream !== undefined && message.stream !== '') return `${id}${from}${message.stream}`;
  return `${id}${from}${message.status ?? ''}\n`;
}
