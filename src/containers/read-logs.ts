/** `docker logs`: the json-file log of a container as frames or raw bytes, followed while it runs. */
import type { Readable } from 'node:stream';
import { invalid, notImplemented } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { LogOptions } from './containers.ts';
import { GeneratorStream } from './generator-stream.ts';
import { logLimits } from './log-config.ts';
import { type EntryFormat, formatBlock } from './log-entries.ts';
import { type LogFiles, type LogReadOptions, readLogBlocks } from './log-files.ts';

export function readLogs(
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): { readonly tty: boolean; readonly stream: Readable } {
  if (!options.stdout && !options.stderr) throw invalid('Bad parameters: you must choose at least one stream');
  if (container.hostConfig.LogConfig.Type === 'none') throw notImplemented('configured logging driver does not support reading');
  const { state, config } = container;
  const news = options.follow && state.status === 'running' ? state.log.follow() : null;
  const stop = new AbortController();
  const format: EntryFormat = { ...options, framed: !config.Tty };
  const blocks = formattedBlocks(logFilesOf(container), { tail: options.tail, news }, format, stop.signal);
  const leave = () => stream.destroy();
  const stream = new GeneratorStream(blocks, () => {
    stop.abort();
    news?.close();
    signal.removeEventListener('abort', leave);
  });
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave, { once: true });
  return { tty: config.Tty, stream };
}

export function logFilesOf(container: Container): LogFiles {
  return { path: container.paths.log, maxFiles: logLimits(container.hostConfig.LogConfig).maxFiles };
}

async function* formattedBlocks(
  files: LogFiles,
  options: LogReadOptions,
  format: EntryFormat,
  stopped: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const block of readLogBlocks(files, options)) {
    if (stopped.aborted) return;
    const { output, past } = formatBlock(block, format);
    if (output.length > 0) yield output;
    if (past) return;
  }
}
