/** What a build context may be on a command line: `build PATH|URL|-` and `--build-context NAME=VALUE`. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { CliError } from '../../cli-error.ts';

export type ContextArgument =
  | { readonly kind: 'stdin' }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'git'; readonly url: string }
  | { readonly kind: 'http'; readonly url: string };

export type NamedContext =
  | Exclude<ContextArgument, { readonly kind: 'stdin' }>
  | { readonly kind: 'image'; readonly reference: string }
  | { readonly kind: 'oci-layout'; readonly path: string; readonly reference: string };

/** A directory of that name comes before what it might mean as an address. */
export function parseContextArgument(text: string, cwd: string): ContextArgument {
  if (text === '-') return { kind: 'stdin' };
  const kind = kindOfPath(resolve(cwd, text));
  if (kind === 'directory') return { kind: 'directory', path: text };
  if (isGitAddress(text)) return { kind: 'git', url: text };
  if (isHttpAddress(text)) return { kind: 'http', url: text };
  if (kind === 'other')
    throw new CliError(`the build context ${text} is not a directory: give the one that holds the files, and the Dockerfile with -f`);
  throw new CliError(`unable to prepare context: path ${JSON.stringify(text)} not found`);
}

export function parseNamedContext(text: string, cwd: string): readonly [name: string, context: NamedContext] {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals)).trim();
  const value = text.slice(equals + 1);
  if (name === '' || value === '') throw new Error('write NAME=PATH, NAME=docker-image://IMAGE, NAME=oci-layout://PATH or NAME=ADDRESS');
  return [name, namedContext(value, cwd)];
}

function namedContext(value: string, cwd: string): NamedContext {
  if (value.startsWith('docker-image://')) return { kind: 'image', reference: value.slice('docker-image://'.length) };
  if (value.startsWith('oci-layout://')) return ociLayout(value.slice('oci-layout://'.length), cwd);
  if (value.startsWith('target:')) throw new Error('target: names a target of a bake file, which this command does not read');
  const kind = kindOfPath(resolve(cwd, value));
  if (kind === 'directory') return { kind: 'directory', path: value };
  if (isGitAddress(value)) return { kind: 'git', url: value };
  if (isHttpAddress(value)) return { kind: 'http', url: value };
  throw new Error(kind === 'other' ? `${value} is not a directory` : `there is no directory ${value}`);
}

/** `DIR[:TAG][@DIGEST]` */
function ociLayout(text: string, cwd: string): NamedContext {
  const [, path = '', reference = ''] = /^(.*?)((?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?)$/s.exec(text) ?? [];
  if (kindOfPath(resolve(cwd, path)) !== 'directory') throw new Error(`there is no directory ${path}`);
  return { kind: 'oci-layout', path, reference };
}

function kindOfPath(path: string): 'directory' | 'other' | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  return stats.isDirectory() ? 'directory' : 'other';
}

function isGitAddress(text: string): boolean {
  if (/^(?:git|ssh):\/\/|^github\.com\/|^git@[^/]/.test(text)) return true;
  return /^https?:\/\/[^#?]*\.git(?:[#?].*)?$/i.test(text) || /^[\w.-]+@[\w.-]+:[^/].*/.test(text);
}

export function isHttpAddress(text: string): boolean {
  return /^https?:\/\//i.test(text);
}
