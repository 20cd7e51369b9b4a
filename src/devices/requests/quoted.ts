/** A text of somebody else, image or client, in a message: with its control characters spelled out, and not longer than a line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > mostShown ? `${text.slice(0, mostShown)}…` : text);
}

const mostShown = 80;
