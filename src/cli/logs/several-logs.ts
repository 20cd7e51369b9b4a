/** `gantry logs A B …` and `gantry logs --filter …`: the lines of several containers, each behind its container's name. Beyond Docker. */
import type { LogsQuery } from '../../client/container-api.ts';
import type { GantryClient } from '../../client/gantry-client.ts';
import type { Filters } from '../../client/types.ts';
import type { CliIo } from '../cli-io.ts';
import { writeBytes } from '../output.ts';
import { type LogLine, logLines } from './log-source.ts';
import { LineMerge, type NamedLine } from './merge-lines.ts';

export interface SeveralLogs {
  readonly references: readonly string[];
  /** Null: only those named. */
  readonly filters: Filters | null;
  readonly query: Omit<LogsQuery, 'stdout' | 'stderr'>;
  readonly color: boolean;
}

/** Long enough for a daemon's answer, short enough not to be noticed. */
const patienceMs = 150;

export async function showSeveralLogs(client: GantryClient, io: CliIo, options: SeveralLogs): Promise<void> {
  const joining = new Joining(client, options);
  await joining.join();
  if (options.query.follow && options.filters !== null) void joining.joinLater();
  else joining.merge.close();
  const printer = new Printer(io, options, joining.names);
  for await (const line of joining.merge) await printer.print(line);
  if (joining.failure !== null) throw joining.failure;
}

/** Who is shown, from the start or since it started. */
class Joining {
  readonly merge = new LineMerge(patienceMs);
  readonly names: string[] = [];
  failure: unknown = null;
  readonly #client: GantryClient;
  readonly #options: SeveralLogs;
  readonly #shown = new Set<string>();
  /** Container → time of its last line. */
  readonly #lastTimes = new Map<string, string>();

  constructor(client: GantryClient, options: SeveralLogs) {
    this.#client = client;
    this.#options = options;
  }

  async join(): Promise<void> {
    for (const reference of this.#options.references) await this.#add(reference, this.#options.query.since, this.#options.query.tail);
    for (const id of await this.#matching()) await this.#add(id, this.#options.query.since, this.#options.query.tail);
  }

  /** Containers that start from now on, until the daemon or `--until` ends it. */
  async joinLater(): Promise<void> {
    try {
      const { until } = this.#options.query;
      const started = await this.#client.system.events({ since: '', until, filters: { type: ['container'], event: ['start'] } });
      for await (const event of started) {
        const id = event.Actor?.ID ?? '';
        if (!(await this.#matching()).includes(id)) continue;
        this.#shown.delete(id);
        await this.#add(id, this.#sinceStart(id, BigInt(event.timeNano ?? 0n)), 'all').catch(() => {});
      }
    } catch (error) {
      this.failure = error;
    }
    this.merge.close();
  }

  async #matching(): Promise<readonly string[]> {
    const { filters } = this.#options;
    if (filters === null) return [];
    return (await this.#client.containers.list({ all: true, filters })).map(({ Id }) => Id).toReversed();
  }

  async #add(reference: string, since: string, tail: string): Promise<void> {
    const details = await this.#client.containers.inspect(reference);
    if (this.#shown.has(details.Id)) return;
    this.#shown.add(details.Id);
    const name = details.Name.replace(/^\//, '');
    if (!this.names.includes(name)) this.names.push(name);
    const query = { ...this.#options.query, since, tail, timestamps: true, stdout: true, stderr: true };
    const { stream, framed } = await this.#client.containers.logs(details.Id, query, details.Config.Tty);
    this.merge.add(name, this.#noted(details.Id, logLines(stream, framed)));
  }

  async *#noted(id: string, lines: AsyncIterable<LogLine>): AsyncGenerator<LogLine> {
    for await (const line of lines) {
      this.#lastTimes.set(id, line.time);
      yield line;
    }
  }

  /** `start` is told a moment after the process began to write; what an earlier run wrote is shown already. */
  #sinceStart(id: string, started: bigint): string {
    const shown = this.#lastTimes.get(id);
    const afterShown = shown === undefined ? 0n : nanosecondsOf(shown) + 1n;
    const earlier = started - 5_000_000_000n;
    return nanoText(afterShown > earlier ? afterShown : earlier);
  }
}

function nanoText(timeNano: bigint): string {
  return `${timeNano / 1_000_000_000n}.${String(timeNano % 1_000_000_000n).padStart(9, '0')}`;
}

/** `2026-01-02T03:04:05.123456789Z` */
function nanosecondsOf(time: string): bigint {
  return BigInt(Date.parse(`${time.slice(0, 19)}Z`)) * 1_000_000n + BigInt(time.slice(20, 29));
}

const colors = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

class Printer {
  readonly #io: CliIo;
  readonly #options: SeveralLogs;
  readonly #names: readonly string[];

  constructor(io: CliIo, options: SeveralLogs, names: readonly string[]) {
    this.#io = io;
    this.#options = options;
    this.#names = names;
  }

  async print({ name, time, stderr, text }: NamedLine): Promise<void> {
    const width = Math.max(...this.#names.map((shown) => shown.length));
    const plain = `${name.padEnd(width)} | `;
    const color = colors[this.#names.indexOf(name) % colors.length];
    const prefix = this.#options.color ? `\x1b[${color}m${plain}\x1b[0m` : plain;
    const head = Buffer.from(prefix + (this.#options.query.timestamps ? `${time} ` : ''));
    await writeBytes(stderr ? this.#io.stderr : this.#io.stdout, Buffer.concat([head, text, Buffer.from('\n')]));
  }
}
