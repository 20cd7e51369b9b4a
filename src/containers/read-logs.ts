/** `docker logs`: the log of a container as frames or raw bytes, followed while it runs. */
import type { Readable } from 'node:stream';
import { invalid, notImplemented } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { LogOptions } from './containers.ts';
import { GeneratorStream } from './generator-stream.ts';
import { logPlan } from './log-config.ts';
import { type EntryFormat, formatBlock } from './log-entries.ts';
import { type LogNews, type LogReadOptions, readLogBlocks } from './log-files.ts';
import type { FollowerNews } from './log-news.ts';
import type { LogStore } from './log-store.ts';
import { lineAttributes } from './logging/log-attributes.ts';
import { logSubject } from './logging/log-subject.ts';

export function readLogs(
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): { readonly tty: boolean; readonly stream: Readable } {
  if (!options.stdout && !options.stderr) throw invalid('Bad parameters: you must choose at least one stream');
  if (!logPlan(container.hostConfig.LogConfig).readable) throw notImplemented('configured logging driver does not support reading');
  const { state, config } = container;
  const news = options.follow && state.status === 'running' ? state.log.follow() : null;
  const timer = endAt(news, options.until);
  const stop = new AbortController();
  const blocks = formattedBlocks(container.logStore, readOptions(options, news), entryFormat(container, options), stop.signal);
  const leave = () => stream.destroy();
  const stream = new GeneratorStream(blocks, () => {
    stop.abort();
    clearTimeout(timer);
    news?.close();
    signal.removeEventListener('abort', leave);
  });
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave, { once: true });
  return { tty: config.Tty, stream };
}

function entryFormat({ record, hostConfig, config }: Container, options: LogOptions): EntryFormat {
  const attributes = options.details ? lineAttributes(hostConfig.LogConfig.Config, logSubject(record)) : {};
  return { ...options, attributes, framed: !config.Tty };
}

function readOptions({ tail, since }: LogOptions, news: LogNews | null): LogReadOptions {
  return { tail, news, sinceMs: since === null ? null : Number(since / 1_000_000n) };
}

/** A follower of a silent container leaves at that time too, not with the first line after it. */
function endAt(news: FollowerNews | null, until: bigint | null): NodeJS.Timeout | undefined {
  if (news === null || until === null) return undefined;
  const delayMs = Number(until / 1_000_000n) - Date.now();
  // Nobody follows for 24 days, which is what a timer can wait.
  return setTimeout(() => news.close(), Math.min(Math.max(delayMs, 0), 2 ** 31 - 1));
}

async function* formattedBlocks(
  store: LogStore,
  options: LogReadOptions,
  format: EntryFormat,
  stopped: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const { lines } of readLogBlocks(store, options)) {
    if (stopped.aborted) return;
    const { output, past } = formatBlock(lines, format);
    if (output.length > 0) yield output;
    if (past) return;
  }
}
