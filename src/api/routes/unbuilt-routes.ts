/**
 * Operations of Docker's API that are not built: each answers 501 with its own name and what brings it. What has a truthful answer already
 * (no plugins, no swarm) gives it, because clients' `inspect` and `system prune` chains ask everything.
 */
import { EngineError, notFound, notImplemented } from '../../base/errors.ts';
import { requireKnownFilters } from '../../wire/filters.ts';
import type { Method, Route } from '../route-table.ts';

const comesWith = {
  wholeLife: "it comes with a container's whole life (issue 5)",
  builder: 'it comes with the builder (issue 7)',
} as const;

/** method, pattern, the operation in words, what brings it */
const unbuilt: readonly (readonly [Method, string, string, string])[] = [
  ['GET', '/images/{name:*}/attestations', 'showing attestations of an image', comesWith.builder],
  ['GET', '/plugins/privileges', 'plugins', 'nothing plans them yet'],
  ['POST', '/plugins/pull', 'installing a plugin', 'nothing plans them yet'],
  ['POST', '/plugins/create', 'creating a plugin', 'nothing plans them yet'],
];

export function unbuiltRoutes(): readonly Route[] {
  return [...unbuilt.map(refused), ...emptyResources(), ...swarmRoutes()];
}

function refused([method, pattern, operation, when]: (typeof unbuilt)[number]): Route {
  return failing(method, pattern, () => notImplemented(`${operation} is not built yet: ${when}`));
}

function emptyResources(): readonly Route[] {
  const noPlugin = (name: string) => notFound(`plugin "${name}" not found`);
  return [
    answering('GET', '/plugins', ['capability', 'enabled'], []),
    failing('GET', '/plugins/{name:*}/json', noPlugin),
    failing('DELETE', '/plugins/{name:*}', noPlugin),
    ...['enable', 'disable', 'upgrade', 'push', 'set'].map((verb) => failing('POST', `/plugins/{name:*}/${verb}`, noPlugin)),
  ];
}

function swarmRoutes(): readonly Route[] {
  const notManager = () =>
    new EngineError(
      'unavailable',
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    );
  const noSwarm = (what: string) => () => notImplemented(`${what} is not supported: Gantry has no swarm mode`);
  const methods: readonly Method[] = ['GET', 'POST', 'DELETE'];
  const objects = ['services', 'tasks', 'nodes', 'secrets', 'configs'];
  return [
    failing('POST', '/swarm/init', noSwarm('starting a swarm')),
    failing('POST', '/swarm/join', noSwarm('joining a swarm')),
    failing('POST', '/swarm/leave', () => new EngineError('unavailable', 'This node is not part of a swarm')),
    ...methods.flatMap((method) => [failing(method, '/swarm', notManager), failing(method, '/swarm/{rest:*}', notManager)]),
    ...objects.flatMap((name) =>
      methods.flatMap((method) => [failing(method, `/${name}`, notManager), failing(method, `/${name}/{rest:*}`, notManager)]),
    ),
  ];
}

function failing(method: Method, pattern: string, error: (name: string) => EngineError): Route {
  const named = pattern.includes('{name');
  return {
    method,
    pattern,
    body: 'any',
    async handle(exchange) {
      throw error(named ? exchange.parameter('name') : '');
    },
  };
}

function answering(method: Method, pattern: string, filterKeys: readonly string[], answer: unknown): Route {
  const known = new Set(filterKeys);
  return {
    method,
    pattern,
    body: 'any',
    async handle(exchange) {
      requireKnownFilters(exchange.filters(), known);
      exchange.sendJson(200, answer);
    },
  };
}
