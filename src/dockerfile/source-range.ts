/** Places in a Dockerfile. Lines and columns count from 1; a column counts UTF-16 units, as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** From the first to the last line, both included. */
export interface LineRange {
  readonly startLine: number;
  readonly endLine: number;
}

/** What a message points at: the lines that it is about and, where one word is to blame, that word. */
export interface Place extends LineRange {
  readonly at?: Position & { readonly length: number };
}
