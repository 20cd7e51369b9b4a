/** How the page writes sizes, times and long values. */

/** Decimal units, as `docker images` has them: `1.24MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))} ${units[unit]}`;
}

/** `2026-11-21 20:23 UTC`; as it is when it is no time. */
export function timeText(written: string): string {
  const at = new Date(written);
  return Number.isNaN(at.getTime()) ? shortened(written, 40) : `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export function shortened(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length - limit} more characters)`;
}

export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `sha256:` and 12 digits. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
