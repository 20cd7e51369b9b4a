/** What `# check=…`, a comment above one instruction and `BUILDKIT_DOCKERFILE_CHECK` may say of the build checks: `skip=A,B;error=true;experimental=all`. */
import { InstructionProblem } from './dockerfile-error.ts';

export interface CheckOptions {
  readonly skip: RuleSelection;
  /** Rules that are off unless they are named here; `skip` does not touch them. */
  readonly experimental: RuleSelection;
  /** Warnings fail the build. */
  readonly error: boolean;
}

export type RuleSelection = 'all' | readonly string[];

export const noCheckOptions: CheckOptions = { skip: [], experimental: [], error: false };

export function selects(selection: RuleSelection, rule: string): boolean {
  return selection === 'all' || selection.some((name) => name.toLowerCase() === rule.toLowerCase());
}

/** Only the text up to the first blank counts. */
export function parseCheckOptions(text: string): CheckOptions {
  const parts = (text.split(/\s/, 1)[0] ?? '').split(';');
  if (parts.length > 3)
    throw new InstructionProblem(`invalid check options: ${text}: there are three at most, skip, experimental and error`);
  return parts.reduce(withOption, noCheckOptions);
}

function withOption(options: CheckOptions, part: string): CheckOptions {
  const equals = part.indexOf('=');
  const [key, value] = equals === -1 ? [part, ''] : [part.slice(0, equals).trim(), part.slice(equals + 1).trim()];
  switch (key.toLowerCase()) {
    case 'skip':
      return { ...options, skip: selection(value) };
    case 'experimental':
      return { ...options, experimental: selection(value) };
    case 'error':
      if (!/^(true|false)$/i.test(value)) throw new InstructionProblem(`invalid check option: error=${value}: use true or false`);
      return { ...options, error: value.toLowerCase() === 'true' };
    default:
      throw new InstructionProblem(`invalid check option "${part}": use skip=RULES, experimental=RULES or error=BOOL`);
  }
}

function selection(value: string): RuleSelection {
  if (value.toLowerCase() === 'all') return 'all';
  return value.split(',').flatMap((name) => name.trim() || []);
}
