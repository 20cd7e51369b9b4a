/**
 * Columns as Go's text/tabwriter makes them (Docker: least width 10, padding 3): a column is a run of consecutive lines that have a
 * tab-terminated cell at that place; the text after the last tab of a line belongs to no column.
 */
const LEAST_WIDTH = 10;
const PADDING = 3;

export function alignColumns(text: string, leastWidth = LEAST_WIDTH, padding = PADDING): string {
  const lines = text.split('\n').map((line) => line.split('\t'));
  const widths: number[][] = lines.map(() => []);
  for (let row = 0; row < lines.length; row += 1) {
    for (let column = widths[row]?.length ?? 0; column < cellCount(lines[row]); column += 1)
      measure(lines, widths, row, column, leastWidth, padding);
  }
  return lines.map((cells, row) => cells.map((cell, column) => padCell(cell, widths[row]?.[column])).join('')).join('\n');
}

function cellCount(cells: readonly string[] | undefined): number {
  return (cells?.length ?? 1) - 1;
}

/** Finds the block of lines that share the column, starting at `row`, and gives all of them its width. */
function measure(lines: readonly string[][], widths: number[][], row: number, column: number, leastWidth: number, padding: number): void {
  let end = row;
  let width = leastWidth;
  while (end < lines.length && cellCount(lines[end]) > column) {
    const cell = [...(lines[end]?.[column] ?? '')].length;
    width = Math.max(width, cell + padding);
    end += 1;
  }
  for (let line = row; line < end; line += 1) {
    const known = widths[line];
    if (known !== undefined) known[column] = width;
  }
}

function padCell(cell: string, width: number | undefined): string {
  return width === undefined ? cell : cell + ' '.repeat(Math.max(0, width - [...cell].length));
}
