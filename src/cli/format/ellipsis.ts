/** The first 12 characters of an id, without its algorithm. */
export function shortId(id: string): string {
  const colon = id.indexOf(':');
  return id.slice(colon + 1, colon + 13);
}

/** Cut to `width` characters, the last of them `…`. */
export function ellipsis(text: string, width: number): string {
  const characters = [...text];
  if (width <= 0) return '';
  if (characters.length <= width) return text;
  return width === 1 ? (characters[0] ?? '') : `${characters.slice(0, width - 1).join('')}…`;
}
