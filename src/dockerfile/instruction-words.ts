/** Which parts of an instruction are expanded by the builder, so that expanding and checking go over the same words. What a shell expands is not among them. */
import type { Instruction, InstructionBody } from './instruction.ts';
import type { Word } from './words.ts';

/** Flags whose values are expanded; RUN's mounts are read by their own parser. */
const expandedFlags = ['chown', 'chmod', 'checksum'];

export function expandedWords(instruction: Instruction | InstructionBody): readonly Word[] {
  switch (instruction.kind) {
    case 'from':
      return [instruction.image, ...(instruction.platform ? [instruction.platform] : [])];
    case 'env':
    case 'label':
      return instruction.pairs.flatMap(({ key, value }) => [key, value]);
    case 'arg':
      return instruction.arguments.flatMap(({ value }) => value ?? []);
    case 'copy':
    case 'add':
      return [
        ...expandedFlags.flatMap((name) => instruction.flags.word(name) ?? []),
        ...instruction.sources.flatMap((source) => (source.kind === 'path' ? source.word : [])),
        instruction.destination,
      ];
    case 'run':
      return instruction.flags.list('mount');
    case 'expose':
      return instruction.ports;
    case 'volume':
      return instruction.paths;
    case 'user':
    case 'workdir':
    case 'stopsignal':
      return [instruction.value];
    case 'cmd':
    case 'entrypoint':
    case 'shell':
    case 'maintainer':
    case 'healthcheck':
    case 'onbuild':
      return [];
  }
}
