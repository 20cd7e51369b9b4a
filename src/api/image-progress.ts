/**
 * Answers that tell progress: JSON texts, one a line, ended by `\r\n` as Docker does. The status line leaves with the first of them, so that what goes
 * wrong before is an HTTP error and what goes wrong after is the last line.
 */
import { errorText } from '../base/errors.ts';
import type { ImageProgress } from '../images/catalogue.ts';
import type { Exchange } from './exchange.ts';

export async function withProgress(exchange: Exchange, work: (report: (progress: ImageProgress) => void) => Promise<void>): Promise<void> {
  const { response } = exchange;
  const start = () => {
    if (!response.headersSent) exchange.startStream(200, 'application/json');
  };
  const line = (value: object) => {
    start();
    response.write(`${JSON.stringify(value)}\r\n`);
  };
  try {
    await work((progress) => line(progressJson(progress, exchange.apiMinor)));
  } catch (error) {
    if (!response.headersSent || exchange.signal.aborted) throw error;
    const message = errorText(error);
    line({ errorDetail: { message }, error: message });
  }
  start();
  response.end();
}

function progressJson(progress: ImageProgress, apiMinor: number): object {
  switch (progress.kind) {
    case 'stream':
      return { stream: progress.text };
    case 'status':
      return { status: progress.text, ...(progress.id === undefined ? {} : { id: progress.id }) };
    case 'step':
      return { status: progress.text, progressDetail: {}, id: progress.id };
    case 'pushed':
      return { progressDetail: {}, aux: { Tag: progress.tag, Digest: progress.digest, Size: progress.sizeBytes } };
    case 'progress': {
      const { id, status, current, total } = progress;
      // Clients of old drew nothing themselves.
      const bar = apiMinor < 48 ? { progress: progressBar(current, total) } : {};
      return { status, progressDetail: { current, total }, ...bar, id };
    }
  }
}

function progressBar(current: number, total: number): string {
  const done = total === 0 ? 0 : Math.min(50, Math.floor((current / total) * 50));
  return `[${'='.repeat(done)}>${' '.repeat(50 - done)}] ${megabytes(current)}/${megabytes(total)}`;
}

function megabytes(bytes: number): string {
  return bytes < 1000 * 1000 ? `${(bytes / 1000).toPrecision(4)}kB` : `${(bytes / 1_000_000).toPrecision(4)}MB`;
}
