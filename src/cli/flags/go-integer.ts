/** Integers as Go's strconv reads them with base 0, which is how Docker's flags read theirs: `0x10`, `0b11`, `0o17`, `017`, `1_000`. */

const PREFIXES: readonly (readonly [pattern: RegExp, radix: string])[] = [
  [/^0[xX](?=[\da-fA-F_])/, '0x'],
  [/^0[bB](?=[01_])/, '0b'],
  [/^0[oO](?=[0-7_])/, '0o'],
  [/^0(?=[\d_])/, '0o'],
];

/** Null: no integer. */
export function parseGoInteger(text: string): bigint | null {
  const sign = text.startsWith('-') ? -1n : 1n;
  const digits = text.replace(/^[-+]/, '');
  // An underscore may only stand between digits, or after a prefix.
  if (digits.includes('_') && !/^(0[xXbBoO]?_?)?[\da-fA-F]+(_[\da-fA-F]+)*$/.test(digits)) return null;
  const [pattern, radix] = PREFIXES.find(([candidate]) => candidate.test(digits)) ?? [/^/, ''];
  const plain = digits.replace(pattern, '').replaceAll('_', '');
  if (!/^[\da-fA-F]+$/.test(plain)) return null;
  try {
    return sign * BigInt(radix + plain);
  } catch {
    return null;
  }
}

/** Why a value does not fit its flag's type, in Go's words; null when it does. */
export function integerComplaint(type: string, text: string): string | null {
  const unsigned = type.startsWith('uint');
  const call = unsigned ? 'strconv.ParseUint' : 'strconv.ParseInt';
  const value = unsigned && /^[-+]/.test(text) ? null : parseGoInteger(text);
  if (value === null) return `${call}: parsing ${JSON.stringify(text)}: invalid syntax`;
  const bits = BigInt(/\d+$/.exec(type)?.[0] ?? '64');
  const [low, high] = unsigned ? [0n, (1n << bits) - 1n] : [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
  return value < low || value > high ? `${call}: parsing ${JSON.stringify(text)}: value out of range` : null;
}
