/** `--timestamp`: the time that what is built has. */
export type TimestampOption =
  | { readonly kind: 'base' | 'context' | 'git' | 'now' }
  | { readonly kind: 'seconds'; readonly seconds: number };

const WORDS = ['base', 'context', 'git', 'now'] as const;
const LATEST_SECONDS = 253_402_300_799;

export function parseTimestamp(text: string): TimestampOption {
  const word = WORDS.find((each) => each === text);
  if (word !== undefined) return { kind: word };
  if (/^\d+$/.test(text) && Number(text) <= LATEST_SECONDS) return { kind: 'seconds', seconds: Number(text) };
  throw new Error('write base, context, git, now, or seconds since 1970');
}
