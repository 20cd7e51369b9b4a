/** RUN: its command line, heredocs and mounts, to one operation. */
import { InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import type { Instruction } from '../../dockerfile/instruction.ts';
import { spot, type Word } from '../../dockerfile/words.ts';
import type { RunOperation } from './operation.ts';

type RunBody = Instruction & { readonly kind: 'run' };

const scriptFolder = '/dev/pipes';

export interface RunCommand {
  readonly argv: readonly string[];
  readonly scripts: RunOperation['scripts'];
}

/**
 *     RUN make                        SHELL make
 *     RUN ["make"]                    make
 *     RUN <<E, body of a script       SHELL /dev/pipes/E       (the body starts with #!)
 *     RUN <<E, any other body         SHELL body
 *     RUN <<E bash                    SHELL "<<E bash⏎body⏎E"
 */
export function runCommand({ command, heredocs }: RunBody, shell: readonly string[]): RunCommand {
  if (command.form === 'exec') return { argv: command.words, scripts: [] };
  const [heredoc, ...others] = heredocs;
  if (heredoc === undefined) return { argv: [...shell, command.text], scripts: [] };
  if (others.length > 0 || command.text.trim() !== heredoc.word.text) {
    const bodies = heredocs.map(({ body, name }) => body + name);
    return { argv: [...shell, [command.text, ...bodies].join('\n')], scripts: [] };
  }
  if (!heredoc.body.startsWith('#!')) return { argv: [...shell, heredoc.body], scripts: [] };
  return { argv: [...shell, `${scriptFolder}/${heredoc.name}`], scripts: [{ name: heredoc.name, body: heredoc.body }] };
}

export function runNetwork({ flags }: RunBody): RunOperation['network'] | null {
  return oneOf(flags.word('network'), 'network', ['default', 'none', 'host']);
}

export function runSecurity({ flags }: RunBody): RunOperation['security'] {
  return oneOf(flags.word('security'), 'security', ['sandbox', 'insecure']) ?? 'sandbox';
}

function oneOf<T extends string>(word: Word | null, what: string, values: readonly T[]): T | null {
  if (word === null) return null;
  const found = values.find((value) => value === word.text);
  if (found === undefined)
    throw new InstructionProblem(`invalid ${what} mode ${JSON.stringify(word.text)}`, spot(word), `use ${values.join(', ')}`);
  return found;
}

/** `vendor.com/class=name[,required]` */
export function runDevices({ flags }: RunBody): RunOperation['devices'] {
  return flags.list('device').map((word) => {
    const [name = '', ...options] = word.text.split(',').map((part) => part.replace(/^name=/, ''));
    const strange = options.find((option) => !/^required(=(true|false))?$/.test(option));
    if (name === '' || strange !== undefined)
      throw new InstructionProblem(`invalid device ${JSON.stringify(word.text)}`, spot(word), 'write NAME or NAME,required');
    return { name, required: options.some((option) => option !== 'required=false') };
  });
}
