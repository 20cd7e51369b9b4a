/**
 * Messages of syslog, as Docker's driver writes them:
 *
 *   (none)         <30>Nov 21 17:01:56 TAG[PID]: text
 *   rfc3164        <30>Nov 21 17:01:56 HOST TAG[PID]: text
 *   rfc5424        <30>1 2026-11-21T17:01:56Z HOST TAG PID TAG - text
 *   rfc5424micro   <30>1 2026-11-21T17:01:56.954499Z HOST TAG PID TAG - text
 *
 * In a stream each ends with a newline; over TLS in the format of RFC 5424 its length goes before it instead (RFC 5425). Times are those of the lines.
 */
import { invalid } from '../../base/errors.ts';
import type { LogMessage } from './log-driver.ts';

export interface Syslog {
  readonly facility: number;
  readonly hostname: string;
  readonly tag: string;
  readonly pid: number;
  readonly format: SyslogFormat;
}

export interface SyslogFormat {
  /** A datagram. */
  line(syslog: Syslog, message: LogMessage): string;
  /** A piece of a stream. */
  frame(syslog: Syslog, message: LogMessage): string;
}

const facilities = 'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp'.split(' ');

export function syslogFacility(text: string): number {
  if (text === '') return facilities.indexOf('daemon');
  const local = /^local([0-7])$/.exec(text);
  const number = /^\d{1,2}$/.test(text) ? Number(text) : -1;
  const facility = local !== null ? 16 + Number(local[1]) : facilities.includes(text) ? facilities.indexOf(text) : number;
  if (facility < 0 || facility > 23) throw invalid('invalid syslog facility');
  return facility;
}

export function syslogFormatter(name: string, overTls: boolean): SyslogFormat {
  const line = lines[name];
  if (line === undefined) throw invalid('Invalid syslog format');
  const counted = overTls && name.startsWith('rfc5424');
  return {
    line,
    frame(syslog, message) {
      const text = `${line(syslog, message)}\n`;
      return counted ? `${Buffer.byteLength(text)} ${text}` : text;
    },
  };
}

const lines: Readonly<Record<string, SyslogFormat['line']>> = {
  '': (syslog, message) => `<${priority(syslog, message)}>${stamp(message)} ${syslog.tag}[${syslog.pid}]: ${message.text}`,
  rfc3164: (syslog, message) =>
    `<${priority(syslog, message)}>${stamp(message)} ${syslog.hostname} ${syslog.tag}[${syslog.pid}]: ${message.text}`,
  rfc5424: (syslog, message) => rfc5424(syslog, message, `${iso(message).slice(0, 19)}Z`),
  rfc5424micro: (syslog, message) => rfc5424(syslog, message, `${iso(message).slice(0, 19)}.${microseconds(message)}Z`),
};

function rfc5424(syslog: Syslog, message: LogMessage, time: string): string {
  const { hostname, tag, pid } = syslog;
  return `<${priority(syslog, message)}>1 ${time} ${hostname} ${tag} ${pid} ${tag} - ${message.text}`;
}

function priority({ facility }: Syslog, { stderr }: LogMessage): number {
  return facility * 8 + (stderr ? 3 : 6);
}

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** In local time, as RFC 3164 says; the day is padded with a blank. */
function stamp({ timeNano }: LogMessage): string {
  const time = new Date(Number(timeNano / 1_000_000n));
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
  return `${months[time.getMonth()]} ${String(time.getDate()).padStart(2, ' ')} ${clock}`;
}

function iso({ timeNano }: LogMessage): string {
  return new Date(Number(timeNano / 1_000_000n)).toISOString();
}

function microseconds({ timeNano }: LogMessage): string {
  return String((timeNano / 1000n) % 1_000_000n).padStart(6, '0');
}
