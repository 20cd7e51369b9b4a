/** Quotes and escapes of a Dockerfile's line, character by character: what splits words, takes flags and finds heredocs reads them alike. Nothing is expanded. */
export interface QuotedChar {
  /** Where it starts; an escape is taken with the character behind it. */
  readonly at: number;
  /** What it stands for: nothing for a quote that opens or closes. */
  readonly value: string;
  /** Plain, outside of quotes. */
  readonly bare: boolean;
}

/** Returns whether a quote is still open at the end. In single quotes nothing escapes. */
export function* quotedChars(text: string, escapeToken: string): Generator<QuotedChar, boolean> {
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === escapeToken && quote !== "'") {
      yield { at, value: text.charAt(at + 1) || char, bare: false };
      at++;
    } else if (quote === char || (quote === '' && (char === '"' || char === "'"))) {
      quote = quote === char ? '' : char;
      yield { at, value: '', bare: false };
    } else yield { at, value: char, bare: quote === '' };
  }
  return quote !== '';
}

export function isBlank({ value, bare }: QuotedChar): boolean {
  return bare && /\s/.test(value);
}
