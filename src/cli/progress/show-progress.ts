/**
 * The daemon's progress lines (pull, push, load, import). On a terminal each id owns a line that is redrawn in place; elsewhere only the
 * lines without a moving bar are printed. An error in the stream ends the command with its words.
 */
import type { ProgressMessage } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import type { CliOutput } from '../cli-io.ts';
import { humanSize } from '../format/size-text.ts';
import { writeText } from '../output.ts';

/** `output` null: nothing is shown, errors still count. `onAux` gets what is meant for programs. */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  output: CliOutput | null,
  onAux?: (aux: unknown) => void,
): Promise<void> {
  const display = output === null ? null : output.isTTY === true ? new TerminalDisplay(output) : new PlainDisplay(output);
  for await (const message of messages) {
    const error = message.errorDetail?.message ?? message.error;
    if (error !== undefined && error !== '') throw new CliError(error, message.errorDetail?.code || 1);
    if (message.aux !== undefined) onAux?.(message.aux);
    else display?.show(message);
  }
}

class PlainDisplay {
  readonly #output: CliOutput;
  constructor(output: CliOutput) {
    this.#output = output;
  }
  show(message: ProgressMessage): void {
    if (progressBar(message, 80) === '') writeText(this.#output, lineText(message));
  }
}

class TerminalDisplay {
  readonly #output: CliOutput;
  readonly #lines = new Map<string, number>();
  constructor(output: CliOutput) {
    this.#output = output;
  }

  show(message: ProgressMessage): void {
    const bar = progressBar(message, this.#output.columns ?? 80);
    if (message.id === undefined || message.id === '' || (message.progressDetail === undefined && !this.#lines.has(message.id))) {
      // Lines without an owner scroll: those above can't be reached any more.
      this.#lines.clear();
      writeText(this.#output, lineText(message));
      return;
    }
    let line = this.#lines.get(message.id);
    if (line === undefined) {
      line = this.#lines.size;
      this.#lines.set(message.id, line);
      writeText(this.#output, '\n');
    }
    const up = this.#lines.size - line;
    writeText(this.#output, `\x1b[${up}A\x1b[2K\r${message.id}: ${message.status ?? ''} ${bar}\r\x1b[${up}B`);
  }
}

function lineText(message: ProgressMessage): string {
  const id = message.id === undefined || message.id === '' ? '' : `${message.id}: `;
  const from = message.from === undefined || message.from === '' ? '' : `(from ${message.from}) `;
  if (message.stream !== undefined && message.stream !== '') return `${id}${from}${message.stream}`;
  return `${id}${from}${message.status ?? ''}\n`;
}

const BAR_WIDTH = 50;

/** `[=====>     ]  1.2MB/4.26MB`; empty when the message has no progress. */
export function progressBar(message: ProgressMessage, columns: number): string {
  const { current = 0, total = 0, units = '', hidecounts } = message.progressDetail ?? {};
  if (current <= 0 && total <= 0) return '';
  const amount = (value: number): string => (units === '' ? humanSize(value) : `${value} ${units}`);
  if (total <= 0) return amount(current).padStart(8);
  const done = Math.min(BAR_WIDTH, Math.trunc((current / total) * BAR_WIDTH));
  const bar = columns > 110 ? `[${'='.repeat(done)}>${' '.repeat(Math.max(0, BAR_WIDTH - done))}] ` : '';
  if (hidecounts === true) return bar;
  return `${bar}${amount(current).padStart(8)}${current <= total ? `/${amount(total)}` : ''}`;
}
