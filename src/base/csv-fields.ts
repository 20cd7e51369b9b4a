/** One line of CSV (RFC 4180 quoting), as `--mount`, `--network` and `--gpus` are written. */
export function csvFields(text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const [field, next] = text[at] === '"' ? quotedField(text, at) : plainField(text, at);
    fields.push(field);
    if (next >= text.length) return fields;
    at = next + 1;
  }
}

function plainField(text: string, at: number): [string, number] {
  const comma = text.indexOf(',', at);
  const end = comma === -1 ? text.length : comma;
  const field = text.slice(at, end);
  if (field.includes('"'))
    throw new Error(`parse error on line 1, column ${column(text, at + field.indexOf('"'))}: bare " in non-quoted-field`);
  return [field, end];
}

function quotedField(text: string, start: number): [string, number] {
  let field = '';
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] !== '"') field += text.charAt(at);
    else if (text[at + 1] === '"') {
      field += '"';
      at += 1;
    } else if (at + 1 === text.length || text[at + 1] === ',') return [field, at + 1];
    else throw new Error(`parse error on line 1, column ${column(text, at)}: extraneous or missing " in quoted-field`);
  }
  throw new Error(`parse error on line 1, column ${column(text, text.length)}: extraneous or missing " in quoted-field`);
}

/** Counted from 1, in bytes, as Go does. */
function column(text: string, at: number): number {
  return Buffer.byteLength(text.slice(0, at)) + 1;
}
