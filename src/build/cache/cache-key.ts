/**
 * The key of an operation: everything that decides what its layer will be, and nothing else.
 *
 *     key = sha256(version, kind, definition, tree below, selected content, epoch, settings that a RUN sees)
 *
 * Inputs count by content, so it does not matter which Dockerfile, stage or build they came from. Left out on purpose (dockerfile.md, section 6): titles and places, proxies, the content of
 * secrets and of cache mounts, how a cache mount is called and shared, times of files.
 *
 * Beside the key stand its parts, for explanations: short values where they may be seen, digests elsewhere.
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { looksSecret } from '../../dockerfile/secret-names.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { CopyInput, CopyOperation, DirectoryOperation, Operation, RunMount, RunOperation } from '../plan/operation.ts';
import type { Tree } from '../result.ts';
import type { CacheKey, KeyRequest } from './build-cache.ts';

/** Rises when the same operation on the same inputs comes to something else than before. */
const version = 1;

interface KeyPart {
  readonly name: string;
  readonly value: unknown;
  /** Told by its digest only. */
  readonly isHidden: boolean;
}

/** Null: it is not cached. */
export function cacheKeyOf(request: KeyRequest): CacheKey | null {
  const { operation, place, position = null } = request;
  const described = describe(operation, request);
  if (described === null) return null;
  const { below, parts } = described;
  const selected = request.selections.flatMap((selection, index) =>
    selection === null ? [] : [hidden(`files ${index}`, selection.digest)],
  );
  const all = [...(below === null ? [] : [hidden('below', below.identity)]), ...parts, ...selected];
  const digest = digestOf([version, operation.kind, all.map(({ name, value }) => [name, value])]);
  const shown = all.map((part) => [part.name, shownValue(part)] as const);
  return { digest, place, position, parts: new Map([...shown, ...fileParts(request)]), below: below?.layers.at(-1)?.diffId ?? null };
}

interface Described {
  /** Null: it looks at nothing below it. */
  readonly below: Tree | null;
  readonly parts: readonly KeyPart[];
}

function describe(operation: Operation, request: KeyRequest): Described | null {
  switch (operation.kind) {
    case 'scratch':
    case 'image':
    case 'context':
      return null;
    case 'run':
      return { below: treeBelow(operation, request), parts: runParts(operation, request) };
    case 'copy':
      if (!isDetermined(operation, request)) return null;
      return { below: operation.link ? null : treeBelow(operation, request), parts: copyParts(operation) };
    case 'directory':
      return {
        below: treeBelow(operation, request),
        parts: [shown('epoch', operation.epoch), hidden('instruction', [operation.path, operation.owner])],
      };
  }
}

function treeBelow({ parent }: RunOperation | CopyOperation | DirectoryOperation, { inputs }: KeyRequest): Tree {
  const below = inputs.get(parent);
  if (below?.kind !== 'tree')
    throw new EngineError('system', 'a build asked for the cache key of a step before the step below it was done');
  return below;
}

function runParts(run: RunOperation, { selections, environment }: KeyRequest): readonly KeyPart[] {
  const binds = run.mounts.filter(({ type }) => type === 'bind').length;
  if (selections.length !== binds || selections.includes(null))
    throw new EngineError('system', `a RUN with ${binds} bind mounts needs the content of each for its cache key`);
  return [
    shown('epoch', run.epoch),
    hidden('instruction', [run.argv, run.scripts.map(({ name, body }) => [name, body])]),
    ...variables(run),
    shown('directory', run.cwd),
    shown('user', run.user),
    shown('platform', formatPlatform(run.platform)),
    shown('network', run.network),
    shown('security', run.security),
    hidden(
      'devices',
      run.devices.map(({ name, required }) => [name, required]),
    ),
    hidden('mounts', run.mounts.map(mountPart)),
    hidden('settings', environment),
  ];
}

/** Also those that nothing reads: whether the command does, nobody can know. */
function variables({ environment, step: { argumentNames = [] } }: RunOperation): readonly KeyPart[] {
  return environment.map((entry) => {
    const equals = entry.indexOf('=');
    const [name, value] = equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
    const part = `${argumentNames.includes(name) ? 'argument' : 'variable'} ${name}`;
    return { name: part, value, isHidden: looksSecret(name) || holdsCredentials(value) };
  });
}

/** `https://user:password@host` */
const credentials = /(?<=:\/\/)[^/\s]*@/g;

function holdsCredentials(value: string): boolean {
  return value.search(credentials) >= 0;
}

function mountPart(mount: RunMount): readonly unknown[] {
  switch (mount.type) {
    case 'bind':
      // What it shows is a selection.
      return ['bind', mount.target, mount.writable];
    case 'cache':
      return ['cache', mount.target, mount.writable];
    case 'tmpfs':
      return ['tmpfs', mount.target, mount.sizeBytes];
    case 'secret':
      return ['secret', mount.id, mount.target, mount.variable, mount.required, mount.mode, mount.uid, mount.gid];
    case 'ssh':
      return ['ssh', mount.id, mount.target, mount.required, mount.mode, mount.uid, mount.gid];
  }
}

/** Something that was fetched counts by its content, or by the checksum that it must have. */
function isDetermined({ sources }: CopyOperation, { selections }: KeyRequest): boolean {
  return sources.every((source, index) => {
    if (source.kind === 'file' || (selections[index] ?? null) !== null) return true;
    if (source.kind === 'path')
      throw new EngineError('system', `the cache key of a COPY needs what its source ${JSON.stringify(source.pattern)} selects`);
    return source.checksum !== null;
  });
}

function copyParts(copy: CopyOperation): readonly KeyPart[] {
  const { destination, owner, mode, excludes, parents, link } = copy;
  const sources = copy.sources.map((source) => sourcePart(source, parents));
  return [shown('epoch', copy.epoch), hidden('instruction', [sources, destination, owner, mode, excludes, parents, link])];
}

function sourcePart(source: CopyInput, parents: boolean): readonly unknown[] {
  switch (source.kind) {
    case 'path':
      return ['path', parents ? source.pattern : nameInResult(source.pattern), source.unpack];
    case 'file':
      return ['file', source.name, source.body];
    case 'url':
      return ['url', source.url, source.checksum, source.unpack];
    case 'git':
      return ['git', source.url, source.checksum, source.keepGitDirectory];
  }
}

/** Where a file lies does not show in what is copied, its name does. Names that a wildcard found are part of what it selects. */
function nameInResult(pattern: string): string {
  if (/[*?[\\]/.test(pattern)) return pattern;
  return pattern.split('/').findLast((name) => name !== '' && name !== '.') ?? '';
}

function* fileParts({ selections }: KeyRequest): Generator<readonly [string, string]> {
  for (const [index, selection] of selections.entries()) {
    // What was fetched is called by its address.
    for (const { path, digest } of selection?.entries ?? [])
      yield [`file ${index} ${path.replace(credentials, '')}`, `#${digest.replace(/^sha256:/, '').slice(0, 16)}`];
  }
}

function shown(name: string, value: string | number): KeyPart {
  return { name, value, isHidden: false };
}

function hidden(name: string, value: unknown): KeyPart {
  return { name, value, isHidden: true };
}

const longestShown = 100;

function shownValue({ value, isHidden }: KeyPart): string {
  const text = JSON.stringify(value);
  return isHidden || text.length > longestShown ? `#${digestOf(value).slice(0, 16)}` : text;
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
