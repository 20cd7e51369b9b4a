/** Re-indents JSON text without parsing it: numbers, escapes and the order of names stay as the daemon wrote them. */
const INDENT = '    ';

export function indentJson(text: string): string {
  let out = '';
  let depth = 0;
  let at = 0;
  const newline = (): string => `\n${INDENT.repeat(depth)}`;
  while (at < text.length) {
    const character = text.charAt(at);
    if (character === '"') {
      const end = stringEnd(text, at);
      out += text.slice(at, end);
      at = end;
      continue;
    }
    at += 1;
    if (/\s/.test(character)) continue;
    if (character === '{' || character === '[') {
      const close = /\S/.exec(text.slice(at, at + 64))?.[0];
      if (close === '}' || close === ']') {
        out += character + close;
        at = text.indexOf(close, at) + 1;
      } else {
        depth += 1;
        out += character + newline();
      }
    } else if (character === '}' || character === ']') {
      depth -= 1;
      out += newline() + character;
    } else if (character === ',') out += `,${newline()}`;
    else out += character === ':' ? ': ' : character;
  }
  return out;
}

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}
