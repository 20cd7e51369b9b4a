/** `--chmod`: octal, or symbolic as chmod(1) reads it, without the umask. */
import { InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import type { ModeChange, ModeClause } from './operation.ts';

export function parseModeChange(text: string): ModeChange {
  if (/^[0-7]{1,5}$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return { kind: 'octal', mode: Number.parseInt(text, 8) };
  const clauses = /^[ugoa+=-]/.test(text) ? text.split(',').map(parseClauses) : [];
  if (clauses.length === 0 || clauses.includes(null)) {
    throw new InstructionProblem(
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
      null,
      'or symbolic, for example u=rwX,go=rX',
    );
  }
  return { kind: 'symbolic', clauses: clauses.flatMap((clause) => clause ?? []) };
}

/** `ug+r-w` is two. Null: it is none. */
function parseClauses(text: string): readonly ModeClause[] | null {
  const [, who = '', rest = ''] = /^([ugoa]*)((?:[+=-](?:[rwxXst]*|[ugo]))+)$/.exec(text) ?? [];
  if (rest === '') return null;
  return [...rest.matchAll(/([+=-])([rwxXstugo]*)/g)].map(([, operator, permissions = '']) => ({
    who: who === '' ? 'a' : who,
    operator: operator as ModeClause['operator'],
    permissions,
  }));
}

const permissionBits: Readonly<Record<string, number>> = { r: 4, w: 2, x: 1 };
const shifts: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

/** The permission bits of an entry after the change; symbolic ones depend on what it has and on whether it is a directory. */
export function changedMode(change: ModeChange, mode: number, isDirectory: boolean): number {
  if (change.kind === 'octal') return change.mode;
  return change.clauses.reduce((current, clause) => applyClause(clause, current, isDirectory), mode & 0o7777);
}

function applyClause({ who, operator, permissions }: ModeClause, mode: number, isDirectory: boolean): number {
  const targets = who.includes('a') ? ['u', 'g', 'o'] : [...who];
  return targets.reduce((current, target) => {
    const shift = shifts[target] ?? 0;
    const bits = (permissionOf(permissions, mode, isDirectory) << shift) | specialBits(permissions, target);
    const all = (7 << shift) | specialBits('st', target);
    if (operator === '+') return current | bits;
    if (operator === '-') return current & ~bits;
    return (current & ~all) | bits;
  }, mode);
}

/** `X`: execute, where it is a directory or somebody may execute it already. `u`, `g`, `o`: what they have. */
function permissionOf(permissions: string, mode: number, isDirectory: boolean): number {
  let bits = 0;
  for (const letter of permissions) {
    if (letter === 'X') bits |= isDirectory || (mode & 0o111) !== 0 ? 1 : 0;
    else if (letter in shifts) bits |= (mode >> (shifts[letter] ?? 0)) & 7;
    else bits |= permissionBits[letter] ?? 0;
  }
  return bits;
}

function specialBits(permissions: string, target: string): number {
  const set = permissions.includes('s') ? ({ u: 0o4000, g: 0o2000, o: 0 }[target] ?? 0) : 0;
  return set | (permissions.includes('t') && target === 'o' ? 0o1000 : 0);
}
