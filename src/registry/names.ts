/**
 * Names of the distribution specification ("Pulling manifests"): repositories, tags, digests. Checked once, where they come in; nothing below ever builds a path
 * from one of them but from a digest that was checked here (SECURITY.md row 25).
 */
import type { Digest } from '../base/brand.ts';
import { isDigest, parseDigest } from '../oci/digest.ts';
import { RegistryRefusal } from './registry-refusal.ts';

const repositoryName = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** Docker's limit; the specification asks for nothing, clients count the host name in. */
const repositoryNameLimit = 255;

export function isRepositoryName(name: string): boolean {
  return name.length <= repositoryNameLimit && repositoryName.test(name);
}

/** Throws NAME_INVALID. */
export function checkRepositoryName(name: string): string {
  if (isRepositoryName(name)) return name;
  const shown = name.length > 100 ? `${name.slice(0, 100)}…` : name;
  throw new RegistryRefusal(
    'NAME_INVALID',
    `invalid repository name ${JSON.stringify(shown)}: lower-case letters, digits, and . _ - between them, components divided by /, ${repositoryNameLimit} characters at most`,
  );
}

export function isTag(text: string): boolean {
  return tagName.test(text);
}

/** Throws MANIFEST_INVALID. */
export function checkTag(text: string): string {
  if (isTag(text)) return text;
  throw new RegistryRefusal(
    'MANIFEST_INVALID',
    `invalid tag ${JSON.stringify(text.slice(0, 140))}: letters, digits, _ . -, not starting with . or -, 128 characters at most`,
  );
}

const anyDigest = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,}$/;

/** A digest of an algorithm that is not kept here: nothing can be found by it. */
export function isForeignDigest(text: string): boolean {
  return anyDigest.test(text) && !text.startsWith('sha256:');
}

/** Throws DIGEST_INVALID. */
export function checkDigest(text: string): Digest {
  if (isDigest(text)) return text;
  try {
    return parseDigest(text);
  } catch (thrown) {
    throw new RegistryRefusal('DIGEST_INVALID', thrown instanceof Error ? thrown.message : String(thrown), { digest: text.slice(0, 200) });
  }
}
