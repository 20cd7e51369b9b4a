/** The term of a search: `busybox`, `library/busybox`, or `registry.example.com/team/tool`. */
import { invalid } from '../base/errors.ts';

export function splitSearchTerm(text: string): { readonly domain: string; readonly term: string } {
  if (text.includes('://')) throw invalid(`invalid repository name: repository name (${text}) should not have a scheme`);
  const slash = text.indexOf('/');
  const first = slash === -1 ? '' : text.slice(0, slash);
  const isDomain = /[.:]/.test(first) || first === 'localhost';
  const domain = isDomain && first !== 'index.docker.io' ? first : 'docker.io';
  const rest = isDomain ? text.slice(slash + 1) : text;
  const term = domain === 'docker.io' && rest.startsWith('library/') ? rest.slice('library/'.length) : rest;
  if (term === '') throw invalid('invalid repository name (""), nothing to search for');
  return { domain, term };
}
