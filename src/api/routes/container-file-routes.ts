/** Files of containers: cp (archive), export, diff (changes), commit. */
import { invalid } from '../../base/errors.ts';
import { decodeCommit } from '../../wire/commit-request.ts';
import { encodePathStat, pathStatHeader } from '../../wire/path-stat.ts';
import type { Exchange } from '../exchange.ts';
import type { Method, Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

type Handle = (exchange: Exchange, services: ApiServices) => Promise<void>;

/** method, pattern, what its body is, handler */
const routes: readonly (readonly [Method, string, Route['body'], Handle])[] = [
  ['HEAD', '/containers/{id}/archive', 'any', statPath],
  ['GET', '/containers/{id}/archive', 'any', readPath],
  ['PUT', '/containers/{id}/archive', 'any', writePath],
  ['GET', '/containers/{id}/export', 'any', exportTar],
  ['GET', '/containers/{id}/changes', 'any', changes],
  ['POST', '/commit', 'json', commit],
];

export function containerFileRoutes(services: ApiServices): readonly Route[] {
  return routes.map(([method, pattern, body, handle]) => ({ method, pattern, body, handle: (exchange) => handle(exchange, services) }));
}

function pathOf(exchange: Exchange): string {
  return exchange.text('path') ?? '';
}

async function statPath(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const stat = await containers.statPath(exchange.parameter('id'), pathOf(exchange));
  exchange.response.setHeader(pathStatHeader, encodePathStat(stat));
  exchange.sendEmpty(200);
}

async function readPath(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const { stat, tar } = await containers.readPath(exchange.parameter('id'), pathOf(exchange));
  exchange.response.setHeader(pathStatHeader, encodePathStat(stat));
  exchange.startStream(200, 'application/x-tar');
  await exchange.sendStream(tar);
}

async function writePath(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  await containers.writePath(exchange.parameter('id'), pathOf(exchange), exchange.request, {
    noOverwriteDirNonDir: exchange.flag('noOverwriteDirNonDir'),
    copyUidGid: exchange.flag('copyUIDGID'),
  });
  exchange.sendEmpty(200);
}

async function exportTar(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const tar = await containers.export(exchange.parameter('id'));
  exchange.startStream(200, 'application/octet-stream');
  await exchange.sendStream(tar);
}

const kinds = { modified: 0, added: 1, deleted: 2 } as const;

async function changes(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const found = await containers.changes(exchange.parameter('id'));
  exchange.sendJson(200, found.length === 0 ? null : found.map(({ path, kind }) => ({ Path: path, Kind: kinds[kind] })));
}

async function commit(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const config = decodeCommit(await exchange.json());
  const reference = exchange.text('container') ?? '';
  if (reference === '') throw invalid('invalid name or ID supplied: ""');
  const id = await containers.commit(reference, {
    image: imageOf(exchange),
    author: exchange.text('author') ?? '',
    comment: exchange.text('comment') ?? '',
    // Absent means yes; since API 1.13.
    pause: exchange.text('pause') === null || exchange.flag('pause'),
    changes: exchange.query.getAll('changes'),
    config,
  });
  exchange.sendJson(201, { Id: id });
}

function imageOf(exchange: Exchange): string | null {
  const [repository, tag] = [exchange.text('repo') ?? '', exchange.text('tag') ?? ''];
  if (repository === '') return null;
  return tag === '' ? repository : `${repository}:${tag}`;
}
