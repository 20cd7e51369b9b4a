/** Scopes of bearer tokens (`repository:PATH:pull,push`): what a request needs, and one spelling for equal sets. */

export function repositoryScope(path: string, ...actions: readonly ('pull' | 'push' | 'delete' | '*')[]): string {
  return `repository:${path}:${actions.join(',')}`;
}

/** Actions on one resource are joined, everything is sorted: equal sets give equal lists. Scopes that can't be read stay as they are. */
export function mergeScopes(...lists: readonly (readonly string[])[]): readonly string[] {
  const actions = new Map<string, Set<string>>();
  const others = new Set<string>();
  for (const scope of lists.flat()) {
    const colon = scope.lastIndexOf(':');
    if (colon <= 0) {
      if (scope !== '') others.add(scope);
      continue;
    }
    const resource = scope.slice(0, colon);
    const known = actions.get(resource) ?? new Set();
    for (const action of scope.slice(colon + 1).split(',')) if (action !== '') known.add(action);
    actions.set(resource, known);
  }
  return [...others, ...[...actions].map(([resource, set]) => `${resource}:${[...set].sort().join(',')}`)].sort();
}

/** A challenge lists several scopes with blanks between them. */
export function splitScopes(text: string | undefined): readonly string[] {
  return (text ?? '').split(/\s+/).filter((scope) => scope !== '');
}
