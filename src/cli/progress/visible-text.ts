/** How wide a line is on a terminal, and its first columns: colours take no room, wide characters two columns, marks none. */

const SEQUENCE = /\x1b\[[\d;]*m/gu;

/** Scripts and symbols that fill two columns. */
const WIDE: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f], [0x231a, 0x231b], [0x23e9, 0x23f3], [0x25fd, 0x25fe], [0x2614, 0x2615], [0x2648, 0x2653], [0x26a1, 0x26a1], [0x2705, 0x2705], [0x270a, 0x270b],
  [0x2728, 0x2728], [0x274c, 0x274e], [0x2753, 0x2757], [0x2795, 0x2797], [0x27b0, 0x27b0], [0x2b1b, 0x2b1c], [0x2b50, 0x2b55], [0x2e80, 0x303e], [0x3041, 0xa4cf],
  [0xa960, 0xa97c], [0xac00, 0xd7a3], [0xf900, 0xfaff], [0xfe30, 0xfe6f], [0xff00, 0xff60], [0xffe0, 0xffe6], [0x1f004, 0x1f9ff], [0x1fa70, 0x1faff], [0x20000, 0x3fffd],
]; // biome-ignore format: a table

const MARK = /^[\p{Mn}\p{Me}\p{Cf}]$/u;

export function visibleWidth(text: string): number {
  if (isPlain(text)) return text.length;
  let width = 0;
  for (const character of text.replace(SEQUENCE, '')) width += widthOf(character);
  return width;
}

/** Colours that were begun are ended. */
export function clipText(text: string, columns: number): string {
  if (isPlain(text)) return text.slice(0, columns);
  if (visibleWidth(text) <= columns) return text;
  let clipped = '';
  let left = columns;
  for (const [piece] of text.matchAll(/\x1b\[[\d;]*m|./gsu)) {
    const width = piece.startsWith('\x1b[') ? 0 : widthOf(piece);
    if (width > left) break;
    clipped += piece;
    left -= width;
  }
  return text.includes('\x1b[') ? `${clipped}\x1b[0m` : clipped;
}

/** What a program wrote, as text that moves no cursor and changes no colour. */
export function tameText(text: string): string {
  return text
    .replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g, '')
    .replaceAll('\t', '    ')
    .replace(/[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '');
}

/** The same for text of several lines. */
export function tameLines(text: string): string {
  return text.split('\n').map(tameText).join('\n');
}

function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0x2ff || code === 0x1b) return false;
  }
  return true;
}

function widthOf(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (MARK.test(character)) return 0;
  return WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}
