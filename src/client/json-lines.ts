/** JSON values one after the other in a byte stream, with or without line breaks between them: events, progress, stats. */
import { EngineError } from '../base/errors.ts';

const MAX_VALUE_BYTES = 16 * 1024 * 1024;

/** `parse` is for values that JSON.parse would round. */
export async function* jsonValues(
  source: AsyncIterable<Uint8Array>,
  parse: (text: string) => unknown = JSON.parse,
): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of source) {
    text += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = valueEnd(text, start); end !== -1; end = valueEnd(text, start)) {
      yield parseOrExplain(text.slice(start, end), parse);
      start = end;
    }
    text = text.slice(start);
    if (text.length > MAX_VALUE_BYTES) throw new EngineError('unavailable', 'the daemon sent a JSON value that is too large');
  }
  if (text.trim() !== '') yield parseOrExplain(text, parse);
}

function parseOrExplain(text: string, parse: (text: string) => unknown): unknown {
  try {
    return parse(text);
  } catch (cause) {
    throw new EngineError('unavailable', `the daemon sent a line that is not JSON: ${text.slice(0, 200).trim()}`, { cause });
  }
}

/** Where the first value from `start` ends, -1 when it is not complete. Objects and arrays are found by depth, anything else ends with its line. */
function valueEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && /\s/.test(text.charAt(at))) at += 1;
  if (at >= text.length) return -1;
  if (text[at] !== '{' && text[at] !== '[') {
    const newline = text.indexOf('\n', at);
    return newline === -1 ? -1 : newline + 1;
  }
  let depth = 0;
  let inString = false;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 92) at += 1;
      else if (code === 34) inString = false;
    } else if (code === 34) inString = true;
    else if (code === 123 || code === 91) depth += 1;
    else if (code === 125 || code === 93) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}
