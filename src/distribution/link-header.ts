/** `Link` (RFC 8288): where the next page of a list is. */

/** The target of `rel="next"`, as it stands; null when there is none. */
export function nextLink(header: string | undefined): string | null {
  for (const { target, parameters } of links(header ?? '')) {
    const relation = /(?:^|;)\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(parameters);
    const names = (relation?.[1] ?? relation?.[2] ?? '').toLowerCase().split(/\s+/);
    if (names.includes('next')) return target;
  }
  return null;
}

/** Commas separate links, but are also allowed inside `<…>` and quotes. */
function* links(header: string): Generator<{ target: string; parameters: string }> {
  let at = 0;
  for (;;) {
    const open = header.indexOf('<', at);
    const close = open === -1 ? -1 : header.indexOf('>', open);
    if (close === -1) return;
    let end = close + 1;
    let isQuoted = false;
    while (end < header.length && (isQuoted || header[end] !== ',')) {
      if (header[end] === '"') isQuoted = !isQuoted;
      end++;
    }
    yield { target: header.slice(open + 1, close), parameters: header.slice(close + 1, end) };
    at = end + 1;
  }
}
