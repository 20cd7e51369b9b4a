/**
 * Image references in Docker's grammar (distribution/reference):
 *
 *     [domain[:port]/]path[:tag][@digest]        busybox → docker.io/library/busybox (:latest where a tag is needed)
 *
 * The first component is a domain only when it holds a `.` or `:`, an upper-case letter, or is `localhost`. People see the familiar form,
 * without what Docker adds; the store keeps the canonical one. Error texts are Docker's: clients match on them.
 */
import type { Digest } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import { digestFromHex, isDigest, parseDigest } from './digest.ts';

export interface ImageReference {
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
}

/** What a person may write where an image is meant: a name, or the digest that is an image ID. */
export type AnyReference =
  | { readonly kind: 'named'; readonly reference: ImageReference }
  | { readonly kind: 'digest'; readonly digest: Digest };

const defaultDomain = 'docker.io';
const officialPrefix = 'library/';
const pathLimit = 255;

const hexIdentifier = /^[0-9a-f]{64}$/;
const domainName =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?$/;
const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagName = /^\w[\w.-]{0,127}$/;

/** A name as written, normalised; no default tag is added. */
export function parseReference(text: string): ImageReference {
  if (hexIdentifier.test(text)) throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  // Longer than any valid reference: nothing below needs to look at it.
  if (text.length > 1024) throw invalid('invalid reference format');
  const { name, tag, digest } = splitTail(text);
  const { domain, path } = splitDomain(name);
  if (path.toLowerCase() !== path) throw invalid(`invalid reference format: repository name (${path}) must be lowercase`);
  const wellFormed =
    domainName.test(domain) && path.split('/').every((component) => pathComponent.test(component)) && (tag === null || tagName.test(tag));
  if (!wellFormed) throw invalid('invalid reference format');
  if (path.length > pathLimit) throw invalid(`repository name must not be more than ${pathLimit} characters`);
  return { domain, path, tag, digest: digest === null ? null : parseDigest(digest, `invalid reference format: ${text}`) };
}

/** 64 hex digits or `sha256:…` mean an id; everything else is a name. */
export function parseAnyReference(text: string): AnyReference {
  if (hexIdentifier.test(text)) return { kind: 'digest', digest: digestFromHex(text) };
  if (isDigest(text)) return { kind: 'digest', digest: text };
  return { kind: 'named', reference: parseReference(text) };
}

/** `latest` where neither a tag nor a digest is given. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag === null && reference.digest === null ? { ...reference, tag: 'latest' } : reference;
}

/** `docker.io/library/busybox` */
export function canonicalName(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** `docker.io/library/busybox:latest`: what the store is keyed by. */
export function canonicalReference(reference: ImageReference): string {
  return canonicalName(reference) + tail(reference);
}

/** `busybox` */
export function familiarName(reference: ImageReference): string {
  if (reference.domain !== defaultDomain) return canonicalName(reference);
  const { path } = reference;
  const short = path.startsWith(officialPrefix) && !path.includes('/', officialPrefix.length) ? path.slice(officialPrefix.length) : path;
  // A path whose first component looks like a domain must keep `docker.io/`, else it would be read back as another repository.
  const again = splitDomain(short);
  return again.domain === defaultDomain && again.path === path ? short : canonicalName(reference);
}

/** `busybox:latest`: what people see. */
export function familiarReference(reference: ImageReference): string {
  return familiarName(reference) + tail(reference);
}

function tail(reference: ImageReference): string {
  return (reference.tag === null ? '' : `:${reference.tag}`) + (reference.digest === null ? '' : `@${reference.digest}`);
}

function splitTail(text: string): { name: string; tag: string | null; digest: string | null } {
  const at = text.indexOf('@');
  const digest = at === -1 ? null : text.slice(at + 1);
  const rest = at === -1 ? text : text.slice(0, at);
  // A colon before the last slash belongs to a port.
  const colon = rest.indexOf(':', rest.lastIndexOf('/') + 1);
  return colon === -1 ? { name: rest, tag: null, digest } : { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest };
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const isDomain = /[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first;
  let domain = isDomain ? first : defaultDomain;
  let path = isDomain ? name.slice(slash + 1) : name;
  if (domain === 'index.docker.io') domain = defaultDomain;
  if (domain === defaultDomain && !path.includes('/')) path = officialPrefix + path;
  return { domain, path };
}
