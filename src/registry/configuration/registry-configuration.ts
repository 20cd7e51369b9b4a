/**
 * The registry's configuration file: one JSON object. What it may hold, and what a value means, is said here once; docs/registry.md tells it to people. Everything is
 * optional. `readConfiguration` gives all of it, or one error that lists every mistake with its place.
 */
import { isIP } from 'node:net';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import {
  byteSize,
  converted,
  duration,
  flag,
  listOf,
  type Members,
  mapOf,
  maybe,
  nullOr,
  oneOf,
  oneOrMore,
  optional,
  type Place,
  positiveNumber,
  recordOf,
  refused,
  required,
  type Shape,
  text,
  wholeNumber,
} from './json-shape.ts';
import { type NamePattern, repositoryPattern, tagPattern } from './name-pattern.ts';

export interface RegistryConfiguration {
  /** `host:port`; null: the default. */
  readonly listen: readonly ListenAddress[] | null;
  /** What clients call us, when it is not what they connect to (a proxy in front): `https://registry.example`. */
  readonly url: string | null;
  readonly root: string | null;
  readonly readOnly: boolean;
  readonly tls: TlsConfiguration | null;
  /** Plain HTTP, or writing without a password, on addresses that others reach. */
  readonly insecure: { readonly plainHttp: boolean; readonly anonymousPush: boolean };
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly access: AccessConfiguration;
  readonly quotas: readonly QuotaRule[];
  readonly limits: LimitsConfiguration;
  readonly immutableTags: readonly ImmutableRule[];
  readonly retention: RetentionConfiguration;
  readonly webhooks: readonly WebhookConfiguration[];
  readonly cache: { readonly maxSize: number | null };
  readonly upstreams: readonly UpstreamConfiguration[];
  readonly audit: { readonly path: string } | null;
  readonly metrics: MetricsConfiguration;
  readonly garbageCollection: { readonly intervalMs: number | null; readonly graceMs: number };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'text' | 'json' };
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface TlsConfiguration {
  readonly certificate: string;
  readonly key: string;
  /** Clients need a certificate of this authority. */
  readonly clientAuthority: string | null;
}

export interface AccessConfiguration {
  /** Null: everybody may do everything. */
  readonly htpasswd: string | null;
  /** What clients are asked for; both are always taken. */
  readonly scheme: 'token' | 'basic';
  readonly token: { readonly service: string; readonly lifetimeMs: number; readonly refreshLifetimeMs: number };
  /** Readable without a password. */
  readonly anonymousPull: readonly NamePattern[];
  readonly groups: ReadonlyMap<string, readonly string[]>;
  /** Null: whoever has a password may do everything. */
  readonly rules: readonly AccessRule[] | null;
}

export type AccessWord = 'read' | 'write' | 'delete';

export interface AccessRule {
  readonly repository: readonly NamePattern[];
  /** `*`: everybody who has a password. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly actions: readonly AccessWord[];
}

export interface QuotaRule {
  readonly repository: NamePattern;
  readonly maxSize: number;
}

export interface RateLimit {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

export interface LimitsConfiguration {
  readonly perAddress: RateLimit | null;
  readonly perUser: RateLimit | null;
  readonly maxBlobSize: number | null;
  readonly maxConcurrentUploads: number | null;
}

export interface ImmutableRule {
  readonly repository: NamePattern;
  readonly tag: readonly NamePattern[];
}

export interface RetentionConfiguration {
  readonly intervalMs: number;
  readonly rules: readonly RetentionRule[];
}

/** The first rule whose repository matches counts. A tag stays when any of the keep-reasons holds. */
export interface RetentionRule {
  readonly repository: NamePattern;
  /** Only these tags are looked at; others stay. */
  readonly tag: readonly NamePattern[];
  readonly keepLast: number | null;
  readonly keepYoungerThanMs: number | null;
  readonly keepTags: readonly NamePattern[];
  /** Manifests without a tag go when they are older. */
  readonly removeUntaggedAfterMs: number | null;
}

export type WebhookEvent = 'push' | 'delete' | 'mount' | 'upload';

export interface WebhookConfiguration {
  readonly name: string;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  readonly repository: NamePattern;
  /** A file with the key of the signature. */
  readonly secretFile: string | null;
  readonly maxQueued: number;
  readonly retryForMs: number;
}

export interface UpstreamConfiguration {
  readonly prefix: string;
  /** Null: our own again. */
  readonly registry: string | null;
  readonly path: string;
  readonly username: string | null;
  readonly passwordFile: string | null;
  readonly insecure: boolean;
  readonly ttlMs: number;
}

export interface MetricsConfiguration {
  /** Null: beside the registry, for whoever has a password. */
  readonly listen: ListenAddress | null;
  /** Beside the registry, without a password. */
  readonly anonymous: boolean;
}

const listenAddress = converted(text, parseListenAddress);
const repositories = converted(text, repositoryPattern);
const tags = converted(text, tagPattern);
const everyRepository = repositoryPattern('**');
const everyTag = tagPattern('*');

const access: Shape<AccessConfiguration> = recordOf({
  htpasswd: maybe(text),
  scheme: optional(oneOf('token', 'basic'), 'token'),
  token: optional(
    renamed(
      recordOf({
        service: optional(converted(text, serviceName), 'gantry-registry'),
        lifetime: optional(duration, 300_000),
        refreshLifetime: optional(duration, 90 * 86_400_000),
      }),
      ({ service, lifetime, refreshLifetime }) => ({ service, lifetimeMs: lifetime, refreshLifetimeMs: refreshLifetime }),
    ),
    { service: 'gantry-registry', lifetimeMs: 300_000, refreshLifetimeMs: 90 * 86_400_000 },
  ),
  anonymousPull: optional(anonymousPull, []),
  groups: optional(mapOf(listOf(text)), new Map()),
  rules: maybe(
    listOf(
      recordOf<AccessRule>({
        repository: required(oneOrMore(repositories)),
        users: optional(listOf(text), []),
        groups: optional(listOf(text), []),
        actions: required(listOf(oneOf('read', 'write', 'delete'))),
      }),
    ),
  ),
});

const noLimits: LimitsConfiguration = { perAddress: null, perUser: null, maxBlobSize: null, maxConcurrentUploads: null };

const rateLimit = renamed(
  recordOf({ requestsPerSecond: required(positiveNumber(1e6)), burst: maybe(wholeNumber(1, 1e7)) }),
  ({ requestsPerSecond, burst }): RateLimit => ({ requestsPerSecond, burst: burst ?? Math.max(1, Math.ceil(requestsPerSecond * 2)) }),
);

const retentionRule: Shape<RetentionRule> = renamed(
  recordOf({
    repository: optional(repositories, everyRepository),
    tag: optional(oneOrMore(tags), [everyTag]),
    keepLast: maybe(wholeNumber(0)),
    keepYoungerThan: maybe(duration),
    keepTags: optional(oneOrMore(tags), []),
    removeUntaggedAfter: maybe(converted(duration, longerThanAPush)),
  }),
  ({ keepYoungerThan, removeUntaggedAfter, ...rest }) => ({
    ...rest,
    keepYoungerThanMs: keepYoungerThan,
    removeUntaggedAfterMs: removeUntaggedAfter,
  }),
);

const webhook: Shape<WebhookConfiguration> = renamed(
  recordOf({
    name: required(converted(text, webhookName)),
    url: required(converted(text, webhookUrl)),
    events: optional(listOf(oneOf('push', 'delete', 'mount', 'upload')), ['push', 'delete'] as const),
    repository: optional(repositories, everyRepository),
    secretFile: maybe(text),
    maxQueued: optional(wholeNumber(1, 1_000_000), 1000),
    retryFor: optional(duration, 86_400_000),
  }),
  ({ retryFor, ...rest }) => ({ ...rest, retryForMs: retryFor }),
);

const upstream: Shape<UpstreamConfiguration> = renamed(
  recordOf({
    prefix: required(converted(anyText, upstreamPrefix)),
    registry: required(nullOr(converted(text, upstreamHost))),
    path: optional(converted(text, upstreamPrefix), ''),
    username: maybe(text),
    passwordFile: maybe(text),
    insecure: optional(flag, false),
    ttl: optional(duration, 300_000),
  }),
  ({ ttl, ...rest }) => ({ ...rest, ttlMs: ttl }),
);

const members: Members<RegistryConfiguration> = {
  listen: maybe(oneOrMore(listenAddress)),
  url: maybe(converted(text, publicUrl)),
  root: maybe(text),
  readOnly: optional(flag, false),
  tls: maybe(recordOf<TlsConfiguration>({ certificate: required(text), key: required(text), clientAuthority: maybe(text) })),
  insecure: optional(recordOf({ plainHttp: optional(flag, false), anonymousPush: optional(flag, false) }), {
    plainHttp: false,
    anonymousPush: false,
  }),
  trustedProxies: optional(listOf(converted(text, networkText)), []),
  access: optional(access, empty(access)),
  quotas: optional(listOf(recordOf<QuotaRule>({ repository: required(repositories), maxSize: required(byteSize) })), []),
  limits: optional(
    recordOf<LimitsConfiguration>({
      perAddress: maybe(rateLimit),
      perUser: maybe(rateLimit),
      maxBlobSize: maybe(byteSize),
      maxConcurrentUploads: maybe(wholeNumber(1, 100_000)),
    }),
    noLimits,
  ),
  immutableTags: optional(
    listOf(recordOf<ImmutableRule>({ repository: optional(repositories, everyRepository), tag: optional(oneOrMore(tags), [everyTag]) })),
    [],
  ),
  retention: optional(
    renamed(
      recordOf({ interval: optional(duration, 86_400_000), rules: optional(listOf(retentionRule), []) }),
      ({ interval, rules }): RetentionConfiguration => ({ intervalMs: interval, rules }),
    ),
    { intervalMs: 86_400_000, rules: [] },
  ),
  webhooks: optional(listOf(webhook), []),
  cache: optional(recordOf({ maxSize: maybe(byteSize) }), { maxSize: null }),
  upstreams: optional(listOf(upstream), []),
  audit: maybe(recordOf({ path: required(text) })),
  metrics: optional(recordOf<MetricsConfiguration>({ listen: maybe(listenAddress), anonymous: optional(flag, false) }), {
    listen: null,
    anonymous: false,
  }),
  garbageCollection: optional(
    renamed(
      recordOf({ interval: optional(nullOr(duration), 86_400_000), grace: optional(duration, 86_400_000) }),
      ({ interval, grace }) => ({ intervalMs: interval, graceMs: grace }),
    ),
    { intervalMs: 86_400_000, graceMs: 86_400_000 },
  ),
  log: optional(
    recordOf({ level: optional(oneOf('debug', 'info', 'warn', 'error'), 'info'), format: optional(oneOf('text', 'json'), 'text') }),
    { level: 'info', format: 'text' },
  ),
};

const configurationShape = recordOf(members);

export const defaultConfiguration: RegistryConfiguration = readConfiguration('{}', 'the defaults');

/** `path` names the file in errors. */
export function readConfiguration(content: string, path: string): RegistryConfiguration {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw invalid(`the configuration file ${path} is not JSON: ${errorText(cause)}`, { cause });
  }
  const findings: string[] = [];
  const read = configurationShape(value, { path: '', findings });
  if (read !== refused) findings.push(...contradictions(read));
  if (read === refused || findings.length > 0) throw mistakes(path, findings);
  return read;
}

function mistakes(path: string, findings: readonly string[]): EngineError {
  const count = findings.length === 1 ? 'a mistake' : `${findings.length} mistakes`;
  return invalid(`the configuration file ${path} has ${count}:\n${findings.map((finding) => `  ${finding}`).join('\n')}`, {
    details: { findings },
  });
}

/** What each value alone does not show. */
function contradictions(read: RegistryConfiguration): string[] {
  const found: string[] = [];
  const { access, webhooks, upstreams } = read;
  for (const [index, rule] of (access.rules ?? []).entries()) {
    const at = `access.rules[${index}]`;
    if (rule.users.length + rule.groups.length === 0)
      found.push(`${at}: names neither users nor groups. "users": ["*"] is everybody who has a password`);
    if (rule.actions.length === 0) found.push(`${at}.actions: allows nothing`);
    for (const [place, group] of rule.groups.entries())
      if (!access.groups.has(group)) found.push(`${at}.groups[${place}]: there is no group ${JSON.stringify(group)} in access.groups`);
  }
  if (access.rules !== null && access.htpasswd === null) found.push('access.rules: without access.htpasswd nobody can say who he is');
  if (access.scheme === 'basic' && access.anonymousPull.length > 0)
    found.push(
      'access.scheme: with "basic", clients that are asked for a password have no way to do without one: anonymousPull needs "token"',
    );
  for (const [index, { keepLast, keepYoungerThanMs, keepTags, removeUntaggedAfterMs }] of read.retention.rules.entries())
    if (keepLast === null && keepYoungerThanMs === null && keepTags.length === 0 && removeUntaggedAfterMs === null)
      found.push(
        `retention.rules[${index}]: says nothing of what to keep. Give keepLast, keepYoungerThan, keepTags or removeUntaggedAfter`,
      );
  found.push(
    ...duplicates(
      webhooks.map(({ name }) => name),
      'webhooks',
      'name',
    ),
  );
  found.push(
    ...duplicates(
      upstreams.map(({ prefix }) => prefix),
      'upstreams',
      'prefix',
    ),
  );
  for (const [index, { username, passwordFile }] of upstreams.entries())
    if ((username === null) !== (passwordFile === null)) found.push(`upstreams[${index}]: username and passwordFile belong together`);
  return found;
}

function duplicates(values: readonly string[], list: string, member: string): string[] {
  return values.flatMap((value, index) =>
    values.indexOf(value) < index
      ? [`${list}[${index}].${member}: ${JSON.stringify(value)} is also that of ${list}[${values.indexOf(value)}]`]
      : [],
  );
}

export function parseListenAddress(given: string): ListenAddress {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]\s]*):(\d{1,5})$/.exec(given);
  if (match === null || Number(match[2]) > 65_535)
    throw invalid(`${JSON.stringify(given)} is no address to listen on: write HOST:PORT, as 127.0.0.1:5000`);
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { host: host === '' ? '0.0.0.0' : host, port: Number(match[2]) };
}

/** `true` is every repository. */
function anonymousPull(value: unknown, place: Place): readonly NamePattern[] | typeof refused {
  if (typeof value === 'boolean') return value ? [everyRepository] : [];
  return oneOrMore(repositories)(value, place);
}

function publicUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== '' ||
    url.pathname !== '/' ||
    url.search !== '' ||
    url.hash !== ''
  )
    throw invalid(`${JSON.stringify(given)} is not what clients could call a registry: write https://HOST or https://HOST:PORT`);
  return url.origin;
}

/** The parts of an index come before it, without a tag. */
function longerThanAPush(milliseconds: number): number {
  if (milliseconds < 600_000) throw invalid('must be "10m" or more: while an index is being pushed, its parts have no tag');
  return milliseconds;
}

/** It stands between quotes in a header. */
function serviceName(given: string): string {
  if (!/^[\w.:-]{1,200}$/.test(given)) throw invalid(`${JSON.stringify(given)}: write letters, digits, "_", ".", ":" and "-"`);
  return given;
}

function webhookUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) throw invalid(`${JSON.stringify(given)} is no URL of http or https`);
  if (url.username !== '' || url.password !== '')
    throw invalid('a URL of a webhook holds no password: use secretFile, whose key signs what is sent');
  return url.href;
}

/** It names a folder. */
function webhookName(given: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(given))
    throw invalid(`${JSON.stringify(given)}: write lower case letters, digits and "-", at most 63`);
  return given;
}

function upstreamPrefix(given: string): string {
  const trimmed = given.replace(/^\/+|\/+$/g, '');
  if (trimmed !== '' && !/^[a-z0-9._/-]+$/.test(trimmed)) throw invalid(`${JSON.stringify(given)} begins no name of a repository`);
  return trimmed;
}

function upstreamHost(given: string): string {
  if (!/^(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/.test(given))
    throw invalid(`${JSON.stringify(given)} is no registry: write HOST or HOST:PORT`);
  return given;
}

function networkText(given: string): string {
  const [address = '', bits, ...more] = given.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0 || (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))))
    throw invalid(`${JSON.stringify(given)} is neither an address nor a network: write 10.0.0.1 or 10.0.0.0/8`);
  return given;
}

/** May be empty. */
function anyText(value: unknown, place: Place): string | typeof refused {
  return value === '' ? '' : text(value, place);
}

function renamed<A, B>(shape: Shape<A>, rename: (value: A) => B): Shape<B> {
  return (value, place) => {
    const read = shape(value, place);
    return read === refused ? refused : rename(read);
  };
}

/** What a record is when nothing of it is said. */
function empty<T>(shape: Shape<T>): T {
  const read = shape({}, { path: '', findings: [] });
  if (read === refused) throw new EngineError('system', 'a record of the configuration has no defaults');
  return read;
}
