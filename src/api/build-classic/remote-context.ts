/** The `remote` parameter: where a build's files come from when they are not the body of its request. */
import { invalid } from '../../base/errors.ts';
import type { ContextLocation } from '../../build/build-request.ts';

/** Null: the body. Docker's rules (its `urlutil`): what ends in `.git`, or has a scheme of git, is a repository; other addresses answer an archive or a Dockerfile. */
export function remoteContext(text: string): ContextLocation | null {
  if (text === '') return null;
  if (isGit(text)) return { kind: 'git', url: text };
  if (/^https?:\/\//.test(text)) return { kind: 'http', url: text };
  throw invalid(`remoteURL (${text}) could not be recognized as URL`);
}

function isGit(text: string): boolean {
  if (/^https?:\/\//.test(text)) return /\.git(\?[^#]*)?(#.*)?$/.test(text);
  return /^(git:\/\/|ssh:\/\/|git@|github\.com\/)/.test(text);
}
