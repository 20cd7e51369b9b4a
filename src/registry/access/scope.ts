/** Scopes of the token protocol: `repository:NAME:ACTION[,ACTION…]`, `registry:catalog:*`. Unknown ones are asked for by no client of ours, and granted to nobody. */
import type { AccessScope, RepositoryAction } from '../access.ts';

/** As in the token's `access` claim. */
export interface ScopeEntry {
  readonly type: 'repository' | 'registry';
  readonly name: string;
  readonly actions: readonly string[];
}

const actions: readonly RepositoryAction[] = ['pull', 'push', 'delete'];
const maxScopes = 32;

/** `texts`: each `scope` parameter; one may hold several, with spaces between. What is no scope is left out, as servers do. */
export function parseScopes(texts: readonly string[]): readonly ScopeEntry[] {
  const parsed = texts
    .flatMap((text) => text.split(' '))
    .filter((text) => text !== '')
    .slice(0, maxScopes)
    .map(parseScope);
  return parsed.filter((entry) => entry !== null);
}

/** The name may hold a colon (`host:port/name` of some clients), the actions never do. */
function parseScope(text: string): ScopeEntry | null {
  const match = /^(repository|registry)(?:\(\w+\))?:([^\s"]{1,255}):([\w,*]+)$/.exec(text);
  if (match === null) return null;
  const [, type = '', name = '', list = ''] = match;
  if (type === 'registry') return name === 'catalog' && list.split(',').includes('*') ? { type, name, actions: ['*'] } : null;
  const wanted = list.split(',').flatMap((action): readonly string[] => (action === '*' ? actions : [action]));
  return { type: 'repository', name, actions: actions.filter((action) => wanted.includes(action)) };
}

/** For the challenge; null: logging in is all there is to ask for. */
export function scopeText(scope: AccessScope): string | null {
  if (scope.kind === 'base') return null;
  return scope.kind === 'catalogue' ? 'registry:catalog:*' : `repository:${scope.name}:${scope.actions.join(',')}`;
}

/** Whether what was granted holds everything that is wanted. */
export function covers(granted: readonly ScopeEntry[], wanted: AccessScope): boolean {
  if (wanted.kind === 'base') return true;
  if (wanted.kind === 'catalogue') return granted.some(({ type, name }) => type === 'registry' && name === 'catalog');
  const have = granted.filter(({ type, name }) => type === 'repository' && name === wanted.name).flatMap((entry) => entry.actions);
  return wanted.actions.every((action) => have.includes(action));
}
