/**
 * Patterns of repository and tag names. `*` is any part of one path component, `**` any number of components, `{user}` the component that is named as the user is.
 *
 *     team/*        team/app, not team/app/test        team/**       everything below team
 *     **            everything                         home/{user}/**   alice: home/alice/x
 */
import { invalid } from '../../base/errors.ts';

export interface NamePattern {
  readonly text: string;
  /** `user` null: nobody; then a pattern with `{user}` matches nothing. */
  matches(name: string, user?: string | null): boolean;
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;

export function repositoryPattern(text: string): NamePattern {
  const wrong = /[^a-z0-9._/*{}-]/.exec(text.replaceAll('{user}', ''));
  if (wrong !== null)
    throw invalid(
      /[A-Z]/.test(wrong[0])
        ? `${JSON.stringify(text)} matches nothing: names of repositories are lower case`
        : `${JSON.stringify(text)} is no pattern of repositories: ${JSON.stringify(wrong[0])} is in no name. Write names, *, ** and {user}`,
    );
  if (text.replaceAll('{user}', '').includes('{') || text.replaceAll('{user}', '').includes('}'))
    throw invalid(`${JSON.stringify(text)} is no pattern of repositories: between braces there is only {user}`);
  if (text.split('/').some((part) => part === '' || (part.includes('**') && part !== '**')))
    throw invalid(`${JSON.stringify(text)} is no pattern of repositories: no component is empty, and ** stands for whole components`);
  if (!text.includes('{user}')) {
    const expression = repositoryExpression(text);
    return { text, matches: (name) => expression.test(name) };
  }
  return {
    text,
    // A user whose name could be no component (`a/b`, `**`) owns no part of the names.
    matches: (name, user = null) =>
      user !== null && component.test(user) && repositoryExpression(text.replaceAll('{user}', user)).test(name),
  };
}

/** Tags have no components: `*` is any part. */
export function tagPattern(text: string): NamePattern {
  if (/[^\w.*-]/.test(text)) throw invalid(`${JSON.stringify(text)} is no pattern of tags: write letters, digits, "_", ".", "-" and *`);
  const expression = new RegExp(`^${text.replaceAll(/\*+/g, '*').split('*').map(escaped).join('.*')}$`, 's');
  return { text, matches: (name) => expression.test(name) };
}

function repositoryExpression(text: string): RegExp {
  const parts = text.split('/').map((part) => (part === '**' ? '.+' : part.split('*').map(escaped).join('[^/]*')));
  return new RegExp(`^${parts.join('/')}$`, 's');
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
