/** `Range` of RFC 9110 for bytes. One range is served; several, other units and what can't be read mean the whole, as the RFC allows. */
export type ByteRange =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const oneRange = /^bytes=(\d{0,16})-(\d{0,16})$/;

/** `end` is the byte after the last one. */
export function byteRange(header: string | undefined, sizeBytes: number): ByteRange {
  const match = header === undefined ? null : oneRange.exec(header.replaceAll(' ', ''));
  if (match === null || (match[1] === '' && match[2] === '')) return { kind: 'whole' };
  const [first, last] = [match[1] ?? '', match[2] ?? ''];
  if (first === '') {
    const count = Math.min(Number(last), sizeBytes);
    return count === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', start: sizeBytes - count, end: sizeBytes };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= sizeBytes) return { kind: 'unsatisfiable' };
  return { kind: 'part', start, end: last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}
