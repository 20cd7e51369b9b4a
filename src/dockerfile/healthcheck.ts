/** HEALTHCHECK: durations as Go writes them, `NONE`, and the command. */
import { parseGoDuration } from '../base/parse-go-duration.ts';
import { InstructionProblem } from './dockerfile-error.ts';
import type { Flags, FlagTable } from './flags.ts';
import type { Command, HealthcheckBody } from './instruction.ts';
import { plainWords, type Rest, spot } from './words.ts';

export const healthFlags: FlagTable = {
  interval: 'text',
  timeout: 'text',
  'start-period': 'text',
  'start-interval': 'text',
  retries: 'text',
};

export function healthcheck(flags: Flags, rest: Rest, command: (rest: Rest) => Command): HealthcheckBody {
  const [type] = plainWords(rest);
  if (type === undefined)
    throw new InstructionProblem('HEALTHCHECK requires at least one argument', null, 'write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE');
  const after = type.offset - rest.offset + type.text.length;
  const tail = rest.text.slice(after);
  const text = tail.trimStart();
  switch (type.text.toUpperCase()) {
    case 'NONE':
      if (text !== '') throw new InstructionProblem('HEALTHCHECK NONE takes no arguments', spot(type));
      return { kind: 'none' };
    case 'CMD':
      if (text === '') throw new InstructionProblem('Missing command after HEALTHCHECK CMD', spot(type));
      return {
        kind: 'command',
        command: command({ text, offset: rest.offset + after + tail.length - text.length }),
        interval: duration(flags, 'interval'),
        timeout: duration(flags, 'timeout'),
        startPeriod: duration(flags, 'start-period'),
        startInterval: duration(flags, 'start-interval'),
        retries: retries(flags),
      };
    default:
      throw new InstructionProblem(`Unknown type ${JSON.stringify(type.text)} in HEALTHCHECK (try CMD)`, spot(type));
  }
}

/** 0 means the engine's default, as not saying it does. */
function duration(flags: Flags, name: string): number | null {
  const word = flags.word(name);
  if (word === null || word.text === '') return null;
  let nanoseconds: number;
  try {
    nanoseconds = parseGoDuration(word.text);
  } catch (thrown) {
    throw new InstructionProblem(
      `--${name}: ${thrown instanceof Error ? thrown.message : 'invalid duration'}`,
      spot(word),
      'write for example 30s or 1m30s',
    );
  }
  if (nanoseconds < 0 || (nanoseconds !== 0 && nanoseconds < 1e6)) {
    throw new InstructionProblem(`Interval ${JSON.stringify(name)} cannot be less than 1ms`, spot(word));
  }
  return nanoseconds;
}

function retries(flags: Flags): number | null {
  const word = flags.word('retries');
  if (word === null || word.text === '') return null;
  if (!/^\d{1,9}$/.test(word.text)) throw new InstructionProblem(`--retries must be at least 0, not ${word.text}`, spot(word));
  return Number(word.text);
}
