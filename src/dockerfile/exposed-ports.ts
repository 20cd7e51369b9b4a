/** EXPOSE: ports, ranges and protocols. */
import { InstructionProblem } from './dockerfile-error.ts';
import { type ExpandOptions, expandWords } from './expand.ts';
import { spot, type Word } from './words.ts';

/** Sorted as text, ranges as single ports, each with its protocol. A variable may hold several. */
export function exposedPorts(words: readonly Word[], options: ExpandOptions): readonly string[] {
  const ports = words.flatMap((word) => expandWords(word.text, options).flatMap((text) => portRange(text, word)));
  return [...new Set(ports)].sort();
}

/** `8000-8002/tcp` → each port. Of `8080:80` only the container's side counts. */
function portRange(text: string, word: Word): readonly string[] {
  const slash = text.indexOf('/');
  const written = slash === -1 ? text : text.slice(0, slash);
  const protocol = slash === -1 ? 'tcp' : text.slice(slash + 1).toLowerCase();
  const range = written.slice(written.lastIndexOf(':') + 1);
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from > to || to > 65535) throw new InstructionProblem(`invalid containerPort: ${range}`, spot(word));
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) throw new InstructionProblem(`invalid proto: ${protocol}`, spot(word));
  return Array.from({ length: to - from + 1 }, (_, offset) => `${from + offset}/${protocol}`);
}
