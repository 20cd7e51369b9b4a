/** What the host's `ps` may be asked for and what its lines mean, by Docker's rules and with its texts. Pure. */
import { EngineError } from '../base/errors.ts';

export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

/** A column that another title calls `PID` would pass the host's processes off as the container's. */
export function checkPsArguments(text: string): void {
  for (const [, column, title] of text.matchAll(/\s+([^\s]*)=\s*(PID[^\s]*)/g)) {
    if (column !== 'pid') throw failed(`specifying "${column}=${title}" is not allowed`);
  }
}

/** The lines of the given processes. Everything behind the last title is one field. */
export function parsePsOutput(output: string, pids: ReadonlySet<number>): ProcessTable {
  const [first = '', ...lines] = output.split('\n');
  const titles = fields(first);
  const column = titles.indexOf('PID');
  if (column === -1) throw failed("Couldn't find PID field in ps output");
  const processes: string[][] = [];
  let isOurs = false;
  for (const line of lines) {
    const found = fields(line);
    if (found.length === 0) continue;
    const text = found[column] ?? '';
    // Lines of threads have no number; they belong to the process before them.
    if (text !== '-') {
      if (!/^\d+$/.test(text)) throw failed(`Unexpected pid '${text}': it is no number`);
      isOurs = pids.has(Number(text));
    }
    if (isOurs) processes.push([...found.slice(0, titles.length - 1), found.slice(titles.length - 1).join(' ')]);
  }
  return { titles, processes };
}

function fields(line: string): string[] {
  return line.split(/[ \t\v\f\r]+/).filter((field) => field !== '');
}

/** Docker answers 500 to all of these. */
export function failed(message: string, cause?: unknown): EngineError {
  return new EngineError('system', message, cause === undefined ? {} : { cause });
}
