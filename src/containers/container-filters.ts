/** The filters of `docker ps` and `docker container prune`. Same key: any of its values; different keys: all; labels: all. */
import { invalid } from '../base/errors.ts';
import { parseUntil } from '../base/until.ts';
import type { ImageCatalogue } from '../images/catalogue.ts';
import type { Networks } from '../network/networks.ts';
import type { Container } from './container.ts';
import { mountPointsOf } from './container-mounts.ts';
import type { StoredEndpoint } from './container-record.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { ContainerFilters } from './containers.ts';
import { isPaused } from './pause-container.ts';

export interface FilterContext {
  readonly registry: ContainerRegistry;
  readonly images: ImageCatalogue;
  readonly networks: Pick<Networks, 'find' | 'sandbox'>;
}

export type Matcher = (container: Container) => boolean;

type MakeMatcher = (values: readonly string[], context: FilterContext) => Matcher;

const statuses = new Set(['created', 'restarting', 'running', 'removing', 'paused', 'exited', 'dead']);
const healths = new Set(['starting', 'healthy', 'unhealthy', 'none']);

const listMatchers: Readonly<Record<string, MakeMatcher>> = {
  ancestor: byAncestor,
  before: (values, { registry }) => anyOf(values, (value) => olderThan(registry.resolve(value))),
  exited: byExitCode,
  expose: byPort((container, port) => Object.keys(container.config.ExposedPorts ?? {}).includes(port)),
  health: byHealth,
  id: (values) =>
    anyOf(
      values,
      (value) =>
        ({ id }) =>
          id.startsWith(value),
    ),
  'is-task': (values) => anyOf(values, (value) => () => !parseFlag('is-task', value)),
  isolation: (values) =>
    anyOf(
      values,
      (value) =>
        ({ hostConfig }) =>
          (hostConfig.Isolation || 'default') === value,
    ),
  label: (values) => allOf(values.map(labelMatcher)),
  name: byName,
  network: byNetwork,
  publish: byPublishedPort,
  since: (values, { registry }) => anyOf(values, (value) => newerThan(registry.resolve(value))),
  status: byStatus,
  volume: (values) =>
    anyOf(
      values,
      (value) =>
        ({ record }) =>
          mountPointsOf(record.mounts).some(({ name, source, destination }) => [name ?? source, destination].includes(value)),
    ),
};

const pruneMatchers: Readonly<Record<string, MakeMatcher>> = {
  label: (values) => allOf(values.map(labelMatcher)),
  'label!': (values) => allOf(values.map((value) => not(labelMatcher(value)))),
  until: (values) => allOf(values.map((value) => createdBefore(parseUntil(value, Date.now())))),
};

export function listMatcher(filters: ContainerFilters, context: FilterContext): Matcher {
  return matcherOf(filters, listMatchers, context);
}

export function pruneMatcher(filters: ContainerFilters, context: FilterContext): Matcher {
  return matcherOf(filters, pruneMatchers, context);
}

function matcherOf(filters: ContainerFilters, known: Readonly<Record<string, MakeMatcher>>, context: FilterContext): Matcher {
  const matchers = Object.entries(filters).map(([key, values]) => {
    const make = Object.hasOwn(known, key) ? known[key] : undefined;
    if (make === undefined) throw invalid(`invalid filter '${key}'`);
    return values.length === 0 ? () => true : make(values, context);
  });
  return allOf(matchers);
}

function anyOf(values: readonly string[], make: (value: string) => Matcher): Matcher {
  const matchers = values.map(make);
  return (container) => matchers.some((matches) => matches(container));
}

function allOf(matchers: readonly Matcher[]): Matcher {
  return (container) => matchers.every((matches) => matches(container));
}

function not(matches: Matcher): Matcher {
  return (container) => !matches(container);
}

/** The image itself, and every image it was made from. */
function byAncestor(values: readonly string[], { images }: FilterContext): Matcher {
  const wanted = new Set<string>(values.map((value) => images.find(value)?.id).filter((id) => id !== undefined));
  return ({ record }) => {
    for (let id: string | null = record.imageId; id !== null; id = images.find(id)?.parent ?? null) if (wanted.has(id)) return true;
    return values.includes(record.imageReference);
  };
}

function olderThan(other: Container): Matcher {
  return (container) => container.sequence < other.sequence;
}

function newerThan(other: Container): Matcher {
  return (container) => container.sequence > other.sequence;
}

function byExitCode(values: readonly string[]): Matcher {
  const codes = new Set(
    values.map((value) => {
      if (!/^-?\d+$/.test(value)) throw invalid(`invalid filter 'exited=${value}'`);
      return Number(value);
    }),
  );
  return ({ state }) => state.status !== 'running' && state.last.startedAt !== null && codes.has(state.last.exitCode);
}

/** `none`: nothing checks it. */
function byHealth(values: readonly string[]): Matcher {
  for (const value of values) if (!healths.has(value)) throw invalid(`invalid filter 'health=${value}'`);
  return ({ health }) => values.includes(health?.status ?? 'none');
}

function labelMatcher(value: string): Matcher {
  const equals = value.indexOf('=');
  const key = equals < 0 ? value : value.slice(0, equals);
  return ({ config }) => Object.hasOwn(config.Labels, key) && (equals < 0 || config.Labels[key] === value.slice(equals + 1));
}

/** An unanchored regular expression, tried with and without the leading `/`. */
function byName(values: readonly string[]): Matcher {
  return anyOf(values, (value) => {
    const pattern = regularExpression(value);
    return ({ name }) => (pattern === null ? name.includes(value) : pattern.test(name) || pattern.test(`/${name}`));
  });
}

function regularExpression(text: string): RegExp | null {
  try {
    return new RegExp(text);
  } catch {
    return null;
  }
}

/** By name, or by the start of an id. */
function byNetwork(values: readonly string[], { networks }: FilterContext): Matcher {
  return anyOf(values, (value) => ({ record }) => {
    const idOf = ({ network, networkId }: StoredEndpoint) => networkId ?? networks.find(network)?.id ?? '';
    return record.networks.some((endpoint) => endpoint.network === value || (value !== '' && idOf(endpoint).startsWith(value)));
  });
}

/** Ports of the host that lead to it now. */
function byPublishedPort(values: readonly string[], { networks }: FilterContext): Matcher {
  return anyOf(values.flatMap(portRange), (wanted) => ({ id }) => {
    const ports = Object.entries(networks.sandbox(id)?.ports ?? {});
    return ports.some(([key, bindings]) => (bindings ?? []).some(({ HostPort }) => `${HostPort}/${key.split('/')[1]}` === wanted));
  });
}

function byPort(has: (container: Container, port: string) => boolean): MakeMatcher {
  return (values) => anyOf(values.flatMap(portRange), (port) => (container) => has(container, port));
}

/** `80`, `80/udp`, `8000-8010/tcp` */
function portRange(value: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(value);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || first > last || last > 65_535) throw invalid(`invalid filter: '${value}' is no port or range of ports`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${match[3] ?? 'tcp'}`);
}

function byStatus(values: readonly string[]): Matcher {
  for (const value of values) {
    if (!statuses.has(value)) throw invalid(`invalid filter 'status=${value}'`);
  }
  return (container) => values.includes(isPaused(container) ? 'paused' : container.state.status);
}

function parseFlag(key: string, value: string): boolean {
  if (['1', 'true'].includes(value.toLowerCase())) return true;
  if (['0', 'false'].includes(value.toLowerCase())) return false;
  throw invalid(`invalid filter '${key}=${value}'`);
}

function createdBefore(milliseconds: number): Matcher {
  return ({ record }) => record.createdAt < milliseconds;
}
