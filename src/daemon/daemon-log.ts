/**
 * The daemon's log on stderr, one line an event: JSON with `level`, `time`, `msg` and the context, or the same as text for people.
 * Control characters never reach a terminal: a message or a value that holds some is quoted (SECURITY.md row 32).
 */
import pino from 'pino';
import type { Logger } from '../base/log.ts';
import type { DaemonOptions } from './daemon-options.ts';

type LogOptions = Pick<DaemonOptions, 'logLevel' | 'logFormat'>;

/** Its level may be changed at any time. */
export interface ReloadableLogger extends Logger {
  level: string;
}

export function createDaemonLog(
  options: LogOptions,
  write: (line: string) => void = (line) => process.stderr.write(line),
): ReloadableLogger {
  return pino(
    {
      level: options.logLevel,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: options.logFormat === 'json' ? write : (line) => write(formatText(line)) },
  );
}

function formatText(line: string): string {
  const { level, time, msg, ...context } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(context).map(([name, value]) => ` ${name}=${quoteIfNeeded(value)}`);
  return `${time} ${String(level).toUpperCase().padEnd(5)} ${escapeControl(String(msg ?? ''))}${fields.join('')}\n`;
}

function quoteIfNeeded(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w./:@+-]+$/.test(text) ? text : escapeControl(typeof value === 'string' ? JSON.stringify(value) : text);
}

/** C1 controls, too: some terminals obey them. */
function escapeControl(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
