/** Names in the order of their bytes: that of JavaScript's strings, but for characters beyond U+D7FF. */
import { encodeName } from '../../base/byte-name.ts';

const differs = /[\ud800-\uffff]/;

export function compareNames(one: string, other: string): number {
  if (one === other) return 0;
  if (!differs.test(one) && !differs.test(other)) return one < other ? -1 : 1;
  return Buffer.compare(encodeName(one), encodeName(other));
}
