/**
 * What an address of git says: `git@host:path`, `ssh://`, `git://`, `http(s)://`, `github.com/…`, with `#ref:subdir` or `?ref=…&subdir=…`.
 *
 * Everything that git would take for an option, a program or a file of this machine is refused here, before any program runs.
 */
import { printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';

export interface GitSource {
  readonly remote: GitRemote;
  /** A branch, a tag, a full ref (`refs/…`) or a commit; null: what HEAD is. */
  readonly ref: string | null;
  /** Without slashes at its ends; empty: all. */
  readonly subdir: string;
  /** The commit that it must be, or its start, in small letters. */
  readonly commit: string | null;
  readonly keepGitDirectory: boolean | null;
  readonly submodules: boolean;
  /** Times of files: of the commit, or of now. */
  readonly times: 'commit' | 'checkout';
}

export interface GitRemote {
  /** As git takes it: without a password. */
  readonly url: string;
  readonly host: string;
  /** Of http and https, `https://host:port`. */
  readonly origin: string | null;
  /** `user:password` that the address had, for http and https. */
  readonly credentials: string | null;
}

const keys = ['ref', 'tag', 'branch', 'subdir', 'commit', 'checksum', 'keep-git-dir', 'submodules', 'mtime', 'fetch-by-commit'];
const protocols = ['https:', 'http:', 'ssh:', 'git:'];

export function parseGitSource(text: string): GitSource {
  const hash = text.indexOf('#');
  const fragment = hash < 0 ? '' : text.slice(hash + 1);
  const address = hash < 0 ? text : text.slice(0, hash);
  const question = address.indexOf('?');
  const remote = parseGitRemote(question < 0 ? address : address.slice(0, question));
  const query = readQuery(question < 0 ? '' : address.slice(question + 1));
  const colon = fragment.indexOf(':');
  const fragmentRef = colon < 0 ? fragment : fragment.slice(0, colon);
  const fragmentSubdir = colon < 0 ? '' : fragment.slice(colon + 1);
  const commit = oneOf('a commit', [query.get('commit'), query.get('checksum')]);
  const ref = oneOf('a ref', [
    fragmentRef,
    query.get('ref'),
    prefixed('refs/tags/', query.get('tag')),
    prefixed('refs/heads/', query.get('branch')),
  ]);
  const byCommit = flag(query, 'fetch-by-commit', false);
  if (byCommit && commit === null) throw invalid('fetch-by-commit needs a commit: add commit=… to the address');
  return {
    remote,
    ref: byCommit ? parseCommit(commit ?? '') : ref === null ? null : checkedRef(ref),
    subdir: checkedSubdir(oneOf('a subdir', [fragmentSubdir, query.get('subdir')]) ?? ''),
    commit: commit === null ? null : parseCommit(commit),
    keepGitDirectory: query.has('keep-git-dir') ? flag(query, 'keep-git-dir', false) : null,
    submodules: flag(query, 'submodules', true),
    times: timesOf(query.get('mtime')),
  };
}

/** An address alone, also that of a submodule. */
export function parseGitRemote(text: string): GitRemote {
  if (/[\0-\x20\x7f]/.test(text)) throw refused(text, 'it holds blanks or control characters');
  if (/^[\w+.-]*::/.test(text)) throw refused(text, 'helpers of git (such as ext::) are not run');
  const whole = /^github\.com\//.test(text) ? `https://${text}` : text;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(whole) ? remoteOfUrl(whole) : remoteOfHost(whole);
}

function remoteOfUrl(text: string): GitRemote {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw refused(text, 'it is not a URL');
  if (!protocols.includes(url.protocol)) throw refused(text, `only https, http, ssh and git are, not ${url.protocol.slice(0, -1)}`);
  if (url.hostname === '') throw refused(text, 'it names no host');
  if (url.hostname.startsWith('-') || url.username.startsWith('-') || url.username.startsWith('%2d'))
    throw refused(text, 'it begins with -');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { url: text, host: url.hostname, origin: null, credentials: null };
  const credentials =
    url.username === '' && url.password === '' ? null : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return { url: url.href, host: url.host, origin: url.origin, credentials };
}

/** `git@host:path` */
function remoteOfHost(text: string): GitRemote {
  const found = /^(?:([^@:/-][^@:/]*)@)?([^@:/-][^@:/]*):(?!-)(.+)$/.exec(text);
  if (found === null || text.startsWith('-')) throw refused(text, 'it is neither a URL nor user@host:path');
  return { url: text, host: found[2] ?? '', origin: null, credentials: null };
}

/** `../other.git` is relative to the repository that names it, as git has it. */
export function parseSubmoduleRemote(text: string, parent: GitRemote): GitRemote {
  if (!/^\.\.?\//.test(text)) return parseGitRemote(text);
  let base = parent.url.replace(/\/+$/, '');
  let rest = text;
  for (let match = /^(\.\.?)\/+/.exec(rest); match !== null; match = /^(\.\.?)\/+/.exec(rest)) {
    rest = rest.slice(match[0].length);
    if (match[1] === '.') continue;
    const cut = Math.max(base.lastIndexOf('/'), base.lastIndexOf(':') + 1);
    if (cut <= base.indexOf('://') + 2) throw refused(text, `it leads out of ${printableName(parent.url)}`);
    base = base.slice(0, cut);
  }
  return { ...parseGitRemote(base.endsWith(':') ? base + rest : `${base}/${rest}`), credentials: null };
}

function refused(text: string, why: string): Error {
  return invalid(`the git address ${printableName(withoutPassword(text))} is not allowed: ${why}`);
}

export function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//');
}

function readQuery(text: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(text)) {
    if (!keys.includes(key)) throw invalid(`unexpected query ${printableName(key)} in a git address: it takes ${keys.join(', ')}`);
    if (query.has(key)) throw invalid(`the query ${key} stands more than once in a git address`);
    query.set(key, value);
  }
  return query;
}

/** Given twice they must agree. */
function oneOf(what: string, values: readonly (string | undefined)[]): string | null {
  const given = [...new Set(values.filter((value) => value !== undefined && value !== ''))];
  if (given.length > 1)
    throw invalid(`the git address names ${what} more than once: ${given.map((value) => printableName(value ?? '')).join(' and ')}`);
  return given[0] ?? null;
}

function prefixed(prefix: string, value: string | undefined): string | undefined {
  return value === undefined || value === '' || value.startsWith('refs/') ? value : prefix + value;
}

function checkedRef(ref: string): string {
  if (ref.startsWith('-')) throw invalid(`the git ref ${printableName(ref)} is not allowed: it begins with -`);
  if (/[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/$|\.lock$/.test(ref)) throw invalid(`${printableName(ref)} is not a git ref`);
  return ref;
}

function checkedSubdir(subdir: string): string {
  const names = subdir.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw invalid(`the directory ${printableName(subdir)} of a git address leads out of the repository`);
  if (subdir.includes('\0')) throw invalid('the directory of a git address holds a NUL byte');
  return names.join('/');
}

/** A commit, or its start. */
export function parseCommit(text: string): string {
  if (!/^[0-9a-f]{7,64}$/i.test(text)) throw invalid(`${printableName(text)} is not a commit: 7 to 64 hex digits are`);
  return text.toLowerCase();
}

export function isWholeCommit(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

function flag(query: ReadonlyMap<string, string>, key: string, fallback: boolean): boolean {
  const text = query.get(key);
  if (text === undefined) return fallback;
  if (text === '' || /^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw invalid(`the query ${key} of a git address is true or false, not ${printableName(text)}`);
}

function timesOf(text: string | undefined): GitSource['times'] {
  if (text === undefined || text === 'commit') return 'commit';
  if (text === 'checkout') return 'checkout';
  throw invalid(`the query mtime of a git address is checkout or commit, not ${printableName(text)}`);
}
