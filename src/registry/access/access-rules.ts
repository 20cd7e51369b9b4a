/**
 * Who may do what, as the configuration says: a pure function of user, repository and action. Rules only ever allow; what no rule allows is not allowed.
 *
 *     no password file        everybody, everything
 *     no rules                nobody known: what `anonymousPull` names; every user: everything
 *     rules                   the union of those that name the user, one of his groups, or `*`; and `anonymousPull`
 */
import type { RepositoryAction } from '../access.ts';
import type { AccessConfiguration, AccessRule, AccessWord } from '../configuration/registry-configuration.ts';

export type AccessRules = Pick<AccessConfiguration, 'htpasswd' | 'anonymousPull' | 'groups' | 'rules'>;

/** Writing without reading helps nobody: a push looks first at what is there. */
const meaning: Readonly<Record<AccessWord, readonly RepositoryAction[]>> = {
  read: ['pull'],
  write: ['pull', 'push'],
  delete: ['delete'],
};

/** `user` null: nobody said who he is. */
export function mayDo(access: AccessRules, user: string | null, repository: string, action: RepositoryAction): boolean {
  if (access.htpasswd === null) return true;
  if (action === 'pull' && access.anonymousPull.some((pattern) => pattern.matches(repository, user))) return true;
  if (user === null) return false;
  if (access.rules === null) return true;
  return access.rules.some(
    (rule) =>
      names(access, rule, user) &&
      rule.actions.some((word) => meaning[word].includes(action)) &&
      rule.repository.some((pattern) => pattern.matches(repository, user)),
  );
}

/** Whether anything at all can be had without a password. */
export function servesAnybody(access: AccessRules): boolean {
  return access.htpasswd === null || access.anonymousPull.length > 0;
}

function names(access: AccessRules, rule: AccessRule, user: string): boolean {
  return (
    rule.users.includes('*') || rule.users.includes(user) || rule.groups.some((group) => access.groups.get(group)?.includes(user) === true)
  );
}
