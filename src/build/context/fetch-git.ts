/**
 * A commit of a repository as a context. Fetched shallow where the server allows it, checked out into a directory of ours, submodules too (by the same rules, never by git itself), then
 * indexed. The directory of git goes, unless it was asked for.
 *
 *     <context>/home        of the program
 *     <context>/git[-n]     repositories, of submodules too; gone at the end
 *     <context>/checkout    the files; what is asked for of them becomes <context>/files
 */
import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';
import type { ContextPlaces, WrittenContext } from './context-job.ts';
import type { GitRequest, HeldContext } from './context-store.ts';
import type { ContextWork } from './context-work.ts';
import {
  type GitRemote,
  type GitSource,
  isWholeCommit,
  parseCommit,
  parseGitSource,
  parseSubmoduleRemote,
  withoutPassword,
} from './git-source.ts';
import { type GitProgram, gitProgram, isGitError } from './run-git.ts';
import { withAgentSocket } from './ssh-agent-socket.ts';

type FetchedGit = HeldContext & { readonly commit: string; readonly committedAt: Date };

const SUBMODULE_DEPTH = 8;
const SUBMODULES = 256;

export async function fetchGit(work: ContextWork<GitRequest>): Promise<FetchedGit> {
  const { request, signal } = work;
  const source = parseGitSource(request.url);
  const wanted = wantedCommit(source, request);
  const keepGitDirectory = keepsGitDirectory(source, request);
  const headers = await headersFor(source.remote, request);
  let found: { commit: string; committedAt: Date } | null = null;
  const held = await work.held(null, async (places) => {
    const home = join(places.directory, 'home');
    await mkdir(home, { mode: 0o700 });
    return await withAgentSocket(request.connectSshAgent, async (agentSocket) => {
      const git = gitProgram({ home, environment: work.environment, headers, agentSocket, signal });
      const fetch = new GitFetch(git, places);
      found = await fetch.checkOut(source, wanted, keepGitDirectory);
      await fetch.settle(source.subdir);
      const time = source.times === 'commit' ? Math.floor(found.committedAt.getTime() / 1000) : Math.floor(Date.now() / 1000);
      return await work.run<WrittenContext>({ kind: 'index', places, time, modes: 'git', limits: work.limits }, signal);
    });
  });
  if (found === null) throw invalid('git was not asked');
  return { ...held, ...(found as { commit: string; committedAt: Date }) };
}

function wantedCommit(source: GitSource, { checksum }: GitRequest): string | null {
  const given = checksum === null || checksum === '' ? null : parseCommit(checksum);
  if (given !== null && source.commit !== null && !given.startsWith(source.commit) && !source.commit.startsWith(given)) {
    throw invalid(`the checksum ${given} and the commit ${source.commit} of the address differ`);
  }
  return given ?? source.commit;
}

function keepsGitDirectory(source: GitSource, request: GitRequest): boolean {
  if (source.keepGitDirectory === false && request.keepGitDirectory) {
    throw invalid('--keep-git-dir and keep-git-dir=false of the address differ');
  }
  return source.keepGitDirectory ?? request.keepGitDirectory;
}

/** A token goes as GitHub wants it: as the password of a user whose name does not count. */
async function headersFor({ origin, host, credentials }: GitRemote, request: GitRequest): Promise<ReadonlyMap<string, string>> {
  if (origin === null) return new Map();
  const secret = async (id: string) => {
    const value = (await request.secret(`${id}.${host}`)) ?? (await request.secret(id));
    return value === null ? null : Buffer.from(value).toString('utf8').trim();
  };
  const header = await secret('GIT_AUTH_HEADER');
  const token = header === null ? await secret('GIT_AUTH_TOKEN') : null;
  const basic = (text: string) => `basic ${Buffer.from(text).toString('base64')}`;
  const value = header ?? (token !== null ? basic(`x-access-token:${token}`) : credentials !== null ? basic(credentials) : null);
  if (value === null) return new Map();
  if (/[\0-\x1f\x7f]/.test(value)) throw invalid('the secret for git holds control characters');
  return new Map([[origin, value]]);
}

interface CheckedOut {
  readonly commit: string;
  readonly committedAt: Date;
}

class GitFetch {
  readonly #git: GitProgram;
  readonly #places: ContextPlaces;
  readonly #checkout: string;
  #repositories = 0;

  constructor(git: GitProgram, places: ContextPlaces) {
    this.#git = git;
    this.#places = places;
    this.#checkout = join(places.directory, 'checkout');
  }

  async checkOut(source: GitSource, wanted: string | null, keepGitDirectory: boolean): Promise<CheckedOut> {
    await mkdir(this.#checkout, { mode: 0o755 });
    const { remote } = source;
    const directory = keepGitDirectory ? join(this.#checkout, '.git') : this.#nextRepository();
    const commit = await this.#fetch(directory, remote, source.ref ?? (wanted !== null && isWholeCommit(wanted) ? wanted : null));
    if (wanted !== null && !commit.startsWith(wanted)) {
      throw invalid(`expected checksum to match ${wanted}, got ${commit} of ${printableName(remote.url)}`);
    }
    await this.#checkOutInto(directory, commit, this.#checkout);
    if (source.submodules) await this.#submodules(directory, remote, commit, this.#checkout, 1);
    const seconds = Number((await this.#git.run('show', [`--git-dir=${directory}`, 'show', '-s', '--format=%ct', commit, '--'])).trim());
    return { commit, committedAt: new Date(seconds * 1000) };
  }

  /** What was asked for becomes the context's files; the rest goes. */
  async settle(subdir: string): Promise<void> {
    const { directory, files } = this.#places;
    await this.#requireDirectory(this.#checkout, subdir);
    await rm(files, { recursive: true });
    await rename(join(this.#checkout, subdir), files);
    await rm(this.#checkout, { recursive: true, force: true });
    for (let index = 0; index < this.#repositories; index++) await rm(join(directory, `git-${index}`), { recursive: true, force: true });
    await rm(join(directory, 'home'), { recursive: true, force: true });
  }

  #nextRepository(): string {
    return join(this.#places.directory, `git-${this.#repositories++}`);
  }

  async #fetch(directory: string, remote: GitRemote, ref: string | null): Promise<string> {
    await this.#git.run('init', [
      'init',
      '-q',
      '--template=',
      ...(directory.endsWith('/.git') ? [] : ['--bare']),
      directory.replace(/\/\.git$/, ''),
    ]);
    await this.#git.run('remote add', [`--git-dir=${directory}`, 'remote', 'add', '--', 'origin', remote.url]);
    if (ref !== null && isWholeCommit(ref)) return await this.#fetchCommit(directory, remote, ref);
    const name = ref === null ? 'HEAD' : await this.#resolve(remote, ref);
    if (name === null) return await this.#fetchAnyCommit(directory, remote, ref ?? '');
    await this.#fetchRef(directory, remote, name);
    return await this.#commitOf(directory, 'FETCH_HEAD');
  }

  /** As git's checkout has it: a branch before a tag of the same name. Null: the server has neither. */
  async #resolve(remote: GitRemote, ref: string): Promise<string | null> {
    const what = `ls-remote ${withoutPassword(remote.url)}`;
    const text = await this.#git.run(what, ['ls-remote', '--', remote.url, ref, `refs/heads/${ref}`, `refs/tags/${ref}`]);
    const names = new Set(text.split('\n').map((line) => line.split('\t')[1] ?? ''));
    const candidates = [
      ...(ref.startsWith('refs/') || ref === 'HEAD' ? [ref] : []),
      `refs/heads/${ref}`,
      `refs/tags/${ref}`,
      `refs/${ref}`,
    ];
    return candidates.find((name) => names.has(name)) ?? null;
  }

  async #fetchRef(directory: string, remote: GitRemote, name: string): Promise<void> {
    const here = name.startsWith('refs/heads/')
      ? name.replace('refs/heads/', 'refs/remotes/origin/')
      : name.startsWith('refs/tags/')
        ? name
        : null;
    await this.#shallow(directory, remote, here === null ? name : `+${name}:${here}`);
  }

  /** Servers that know only whole histories (files served over http) give those. */
  async #shallow(directory: string, remote: GitRemote, refspec: string): Promise<void> {
    const what = `fetch ${withoutPassword(remote.url)}`;
    const args = (depth: readonly string[]) => [`--git-dir=${directory}`, 'fetch', '-q', '--no-tags', ...depth, '--', 'origin', refspec];
    try {
      await this.#git.run(what, args(['--depth=1']));
    } catch (error) {
      if (!isGitError(error) || !/shallow/.test(error.message)) throw error;
      await this.#git.run(what, args([]));
    }
  }

  async #fetchCommit(directory: string, remote: GitRemote, commit: string): Promise<string> {
    try {
      await this.#shallow(directory, remote, commit);
      return await this.#commitOf(directory, commit);
    } catch (error) {
      if (!isGitError(error)) throw error;
      return await this.#fetchAnyCommit(directory, remote, commit);
    }
  }

  /** Of a server that gives no single commits, or by the start of its digest: all that branches and tags reach is fetched. */
  async #fetchAnyCommit(directory: string, remote: GitRemote, commit: string): Promise<string> {
    const missing = () => invalid(`the repository ${printableName(withoutPassword(remote.url))} does not contain ref ${commit}`);
    if (!/^[0-9a-f]{7,64}$/i.test(commit)) throw missing();
    const refspecs = ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'];
    await this.#git.run(`fetch ${withoutPassword(remote.url)}`, [`--git-dir=${directory}`, 'fetch', '-q', '--', 'origin', ...refspecs]);
    try {
      return await this.#commitOf(directory, commit);
    } catch (error) {
      throw isGitError(error) ? missing() : error;
    }
  }

  async #commitOf(directory: string, revision: string): Promise<string> {
    const args = [`--git-dir=${directory}`, 'rev-parse', '--verify', '-q', '--end-of-options', `${revision}^{commit}`];
    return (await this.#git.run(`rev-parse ${revision}`, args)).trim();
  }

  async #checkOutInto(directory: string, commit: string, target: string): Promise<void> {
    const args = [`--git-dir=${directory}`, `--work-tree=${target}`, '-C', target, 'checkout', '-q', '-f', '--detach', commit, '--'];
    await this.#git.run(`checkout ${commit}`, args);
  }

  /** All addresses are judged before the first one is asked. */
  async #submodules(directory: string, parent: GitRemote, commit: string, checkout: string, depth: number): Promise<void> {
    const listed = await this.#listSubmodules(directory, parent, commit, checkout);
    if (listed.length > 0 && depth > SUBMODULE_DEPTH) throw invalid(`submodules are nested deeper than ${SUBMODULE_DEPTH}, the limit`);
    for (const { path, remote, commit: wanted } of listed) {
      const repository = this.#nextRepository();
      if (this.#repositories > SUBMODULES) throw invalid(`the repository has more than ${SUBMODULES} submodules, the limit`);
      await this.#requireDirectory(checkout, path);
      const target = join(checkout, path);
      const found = await this.#fetch(repository, remote, wanted);
      await this.#checkOutInto(repository, found, target);
      await this.#submodules(repository, remote, found, target, depth + 1);
    }
  }

  async #listSubmodules(directory: string, parent: GitRemote, commit: string, checkout: string) {
    const file = join(checkout, '.gitmodules');
    const stats = await lstat(file).catch(() => null);
    if (stats === null || !stats.isFile()) return [];
    const urls = urlsByPath(await this.#git.run('config', ['config', '-f', file, '--no-includes', '--null', '--list']));
    const tree = await this.#git.run('ls-tree', [`--git-dir=${directory}`, 'ls-tree', '-r', '-z', '--full-tree', commit, '--']);
    return tree.split('\0').flatMap((line) => {
      const found = /^160000 commit ([0-9a-f]+)\t(.+)$/s.exec(line);
      const url = urls.get(found?.[2] ?? '');
      if (found === null || url === undefined) return [];
      return [{ path: found[2] ?? '', commit: found[1] ?? '', remote: parseSubmoduleRemote(url, parent) }];
    });
  }

  /** No part of the way is a link: a repository must not lead us out of the checkout. */
  async #requireDirectory(root: string, path: string): Promise<void> {
    let at = root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      at = join(at, name);
      const stats = name === '..' || name === '.git' ? null : await lstat(at).catch(() => null);
      if (stats === null || !stats.isDirectory()) throw invalid(`the repository has no directory ${printableName(path)}`);
    }
  }
}

/** `submodule.NAME.path` and `.url`; the last one counts. */
function urlsByPath(text: string): ReadonlyMap<string, string> {
  const byName = new Map<string, { path?: string; url?: string }>();
  for (const record of text.split('\0')) {
    const newline = record.indexOf('\n');
    const found = /^submodule\.(.*)\.(path|url)$/s.exec(record.slice(0, newline));
    if (newline < 0 || found === null) continue;
    const known = byName.get(found[1] ?? '') ?? {};
    byName.set(found[1] ?? '', { ...known, [found[2] ?? '']: record.slice(newline + 1) });
  }
  return new Map([...byName.values()].flatMap(({ path, url }) => (path === undefined || url === undefined ? [] : [[path, url] as const])));
}
