/** Tags that stay where they are once pushed: the same manifest may be pushed again, another one not, and neither tag nor manifest may be deleted. */
import type { Digest } from '../../base/brand.ts';
import type { ImmutableRule } from '../configuration/registry-configuration.ts';

/** The text of the refusal; null: it may go there. */
export function immutableRefusal(
  rules: readonly ImmutableRule[],
  repository: string,
  tag: string,
  from: Digest,
  to: Digest | null,
): string | null {
  if (from === to || !isImmutable(rules, repository, tag)) return null;
  const name = `${repository}:${tag}`;
  return to === null
    ? `the tag ${name} is immutable: neither it nor its manifest can be deleted here`
    : `the tag ${name} is immutable: it names ${from} and stays there. Push under another tag`;
}

export function isImmutable(rules: readonly ImmutableRule[], repository: string, tag: string): boolean {
  return rules.some((rule) => rule.repository.matches(repository) && rule.tag.some((pattern) => pattern.matches(tag)));
}
