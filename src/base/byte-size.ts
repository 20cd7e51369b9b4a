/** `512m`, `1.5GiB`, `64kb` → bytes; powers of 1024, as Docker reads memory sizes. */
const EXPONENTS: Readonly<Record<string, number>> = { '': 0, b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

export function parseByteSize(text: string): number {
  const separator = Math.max(...[...'0123456789. '].map((character) => text.lastIndexOf(character)));
  if (separator === -1) throw new Error(`invalid size: '${text}'`);
  const number = (text[separator] === ' ' ? text.slice(0, separator) : text.slice(0, separator + 1)).trim();
  if (!/^(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(number)) throw new Error(`invalid size: '${text}'`);
  const suffix = text.slice(separator + 1).toLowerCase();
  const unit = /^([kmgtp]?)(?:i?b)?$/.exec(suffix);
  const exponent = unit === null ? undefined : EXPONENTS[unit[1] ?? ''];
  if (exponent === undefined) throw new Error(`invalid suffix: '${suffix}'`);
  return Math.trunc(Number(number) * 1024 ** exponent);
}
