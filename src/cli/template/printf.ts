/** The part of Go's fmt verbs that makes sense for templates: %v %+v %#v %s %q %d %x %X %o %b %c %U %t %f %e %g %T %% with flags, width and precision. */
import { goQuote } from '../format/go-quote.ts';
import { formatValue, typeName, type Value } from './go-value.ts';

interface Spec {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | null;
  readonly verb: string;
}

const VERB = /%([-+# 0]*)(\d+|\*)?(?:\.(\d+|\*)?)?(.)/gsu;

export function goPrintf(format: string, args: readonly Value[]): string {
  const rest = [...args];
  const text = format.replace(VERB, (whole, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    const star = (): number => Number(rest.shift() ?? 0);
    const spec: Spec = {
      flags,
      width: width === '*' ? star() : Number(width ?? 0),
      precision: precision === undefined ? (/\..$/su.test(whole) ? 0 : null) : precision === '*' ? star() : Number(precision),
      verb,
    };
    if (rest.length === 0) return `%!${verb}(MISSING)`;
    return formatVerb(spec, rest.shift());
  });
  if (rest.length === 0) return text;
  return `${text}%!(EXTRA ${rest.map((value) => `${typeName(value)}=${formatValue(value)}`).join(', ')})`;
}

function formatVerb(spec: Spec, value: Value): string {
  const body = verbBody(spec, value);
  if (body === null) return `%!${spec.verb}(${typeName(value)}=${formatValue(value)})`;
  return pad(body, spec, typeof value === 'number');
}

function verbBody(spec: Spec, value: Value): string | null {
  switch (spec.verb) {
    case 'v':
      return spec.flags.includes('#') && typeof value === 'string' ? goQuote(value) : formatValue(value);
    case 's':
      if (typeof value === 'number' || typeof value === 'boolean') return null;
      return truncate(formatValue(value), spec.precision);
    case 'q':
      if (typeof value === 'number') return `'${String.fromCodePoint(value)}'`;
      return typeof value === 'string' ? goQuote(value) : null;
    case 't':
      return typeof value === 'boolean' ? String(value) : null;
    case 'T':
      return typeName(value);
    case 'x':
    case 'X':
      return hexadecimal(spec, value);
    default:
      return typeof value === 'number' ? numberBody(spec, value) : null;
  }
}

function hexadecimal(spec: Spec, value: Value): string | null {
  const text = typeof value === 'string' ? Buffer.from(value).toString('hex') : typeof value === 'number' ? value.toString(16) : null;
  if (text === null) return null;
  const prefixed = spec.flags.includes('#') ? `0x${text}` : text;
  return spec.verb === 'X' ? prefixed.toUpperCase() : prefixed;
}

function numberBody(spec: Spec, value: number): string | null {
  const sign = spec.flags.includes('+') && value >= 0 ? '+' : '';
  const integer = Number.isInteger(value);
  switch (spec.verb) {
    case 'd':
      return integer ? sign + String(value) : null;
    case 'o':
      return integer ? sign + value.toString(8) : null;
    case 'b':
      return integer ? sign + value.toString(2) : null;
    case 'c':
      return integer ? String.fromCodePoint(value) : null;
    case 'U':
      return integer ? `U+${value.toString(16).toUpperCase().padStart(4, '0')}` : null;
    case 'f':
    case 'F':
      return sign + value.toFixed(spec.precision ?? 6);
    case 'e':
      return sign + goExponent(value.toExponential(spec.precision ?? 6));
    case 'g':
      return sign + (spec.precision === null ? goExponent(String(value)) : formatG(value, spec.precision));
    default:
      return null;
  }
}

/** `%.Ng`: the shorter of %e and %f, without trailing zeros. */
export function formatG(value: number, precision: number): string {
  const digits = Math.max(1, precision);
  if (value === 0) return '0';
  const [mantissa = '', exponentText = '0'] = value.toExponential(digits - 1).split('e');
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= digits) return goExponent(`${trimZeros(mantissa)}e${exponentText}`);
  return trimZeros(value.toFixed(Math.max(0, digits - 1 - exponent)));
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Go writes at least two digits of exponent. */
function goExponent(text: string): string {
  return text.replace(/e([+-]?)(\d)$/, (_, sign: string, digit: string) => `e${sign === '' ? '+' : sign}0${digit}`);
}

function pad(text: string, spec: Spec, numeric: boolean): string {
  const missing = spec.width - [...text].length;
  if (missing <= 0) return text;
  if (spec.flags.includes('-')) return text + ' '.repeat(missing);
  if (!spec.flags.includes('0') || !numeric) return ' '.repeat(missing) + text;
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}

function truncate(text: string, precision: number | null): string {
  return precision === null ? text : [...text].slice(0, precision).join('');
}
