/** Signal names and numbers as Docker's clients write them: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`. Numbers are Linux's (x86, arm). */
import { invalid } from '../base/errors.ts';

const names = [
  '',
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
  'STKFLT',
  'CHLD',
  'CONT',
  'STOP',
  'TSTP',
  'TTIN',
  'TTOU',
  'URG',
  'XCPU',
  'XFSZ',
  'VTALRM',
  'PROF',
  'WINCH',
  'IO',
  'PWR',
  'SYS',
]; // prettier-ignore

const byName = new Map<string, number>(names.map((name, number) => [name, number]));
byName.delete('');
for (const [alias, number] of [
  ['IOT', 6],
  ['CLD', 17],
  ['POLL', 29],
] as const)
  byName.set(alias, number);

/** glibc keeps 32 and 33 for itself: the first free real-time signal is 34. */
const firstRealTime = 34;
const lastSignal = 64;

export const SIGKILL = 9;
export const SIGTERM = 15;

/** Throws with Docker's texts. */
export function parseSignal(text: string): number {
  const isNumber = /^\d+$/.test(text);
  const number = isNumber ? Number(text) : signalByName(text.toUpperCase().replace(/^SIG/, ''));
  if (isNumber && Number(text) > lastSignal) throw invalid(`The linux daemon does not support signal ${text}`);
  if (number === null || !Number.isInteger(number) || number < 1 || number > lastSignal) throw invalid(`Invalid signal: ${text}`);
  return number;
}

function signalByName(name: string): number | null {
  const known = byName.get(name);
  if (known !== undefined) return known;
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime === null) return null;
  const [, base, sign, digits] = realTime;
  const offset = digits === undefined ? 0 : Number(digits);
  const number = base === 'MIN' && sign !== '-' ? firstRealTime + offset : base === 'MAX' && sign !== '+' ? lastSignal - offset : 0;
  return number >= firstRealTime ? number : null;
}
