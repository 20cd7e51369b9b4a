import type { CommandContext } from '../command.ts';

/** A question answered by a line; anything but yes is no. */
export async function confirm(context: CommandContext, question: string): Promise<boolean> {
  context.print(`${question} [y/N] `);
  const answer = (await readLine(context.io.stdin)).trim().toLowerCase();
  return answer === 'y' || answer === 'yes';
}

export async function readLine(stdin: AsyncIterable<Buffer | string>): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += chunk.toString();
    if (text.includes('\n')) break;
  }
  return text.split('\n')[0] ?? '';
}
