/** Go's durations: `1h30m`, `500ms`, `-1.5s`. */
const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** In nanoseconds. */
export function parseGoDuration(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  let rest = text.replace(/^[-+]/, '');
  if (rest === '0') return 0;
  if (rest === '') throw new Error(`time: invalid duration "${text}"`);
  let total = 0;
  while (rest !== '') {
    const part = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (part === null) throw new Error(`time: invalid duration "${text}"`);
    const unit = part[2] ?? '';
    if (unit === '') throw new Error(`time: missing unit in duration "${text}"`);
    const factor = NANOSECONDS[unit];
    if (factor === undefined) throw new Error(`time: unknown unit "${unit}" in duration "${text}"`);
    total += Math.round(Number(part[1]) * factor);
    rest = rest.slice(part[0].length);
  }
  return sign * total;
}
