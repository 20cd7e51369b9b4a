/** Images as bytes: load, save, import and pull. */
import { invalid, notImplemented } from '../../base/errors.ts';
import { parsePlatformSpecifier } from '../../oci/platform-specifier.ts';
import { familiarName, parseReference } from '../../oci/reference.ts';
import type { Exchange } from '../exchange.ts';
import { withProgress } from '../image-progress.ts';
import { requirePlatform } from '../platform-parameter.ts';
import { refusedElsewhere, registryCredentials } from '../registry-auth.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';
import { tagTarget } from './image-routes.ts';

export function imageTransferRoutes(services: ApiServices): readonly Route[] {
  return [
    { method: 'POST', pattern: '/images/load', body: 'any', handle: (exchange) => load(exchange, services) },
    { method: 'POST', pattern: '/images/create', body: 'any', handle: (exchange) => create(exchange, services) },
    {
      method: 'GET',
      pattern: '/images/get',
      body: 'any',
      handle: (exchange) => save(exchange, services, exchange.query.getAll('names')),
    },
    {
      method: 'GET',
      pattern: '/images/{name:*}/get',
      body: 'any',
      handle: (exchange) => save(exchange, services, [exchange.parameter('name')]),
    },
  ];
}

async function load(exchange: Exchange, { images }: ApiServices): Promise<void> {
  exchange.refuse(['platform'], 'an archive is loaded for the platform of this host; leave it out');
  const quiet = exchange.text('quiet') !== null && exchange.flag('quiet');
  await withProgress(exchange, async (report) => {
    await images.load(
      exchange.request,
      (progress) => (quiet && progress.kind === 'progress' ? undefined : report(progress)),
      exchange.signal,
    );
  });
}

async function save(exchange: Exchange, { images }: ApiServices, references: readonly string[]): Promise<void> {
  // Only with a platform: a bare repository name means all its tags and resolves to no single image.
  if (exchange.text('platform') !== null)
    for (const reference of references) requirePlatform(exchange, images.resolve(reference), reference);
  if (references.length === 0) throw invalid('save needs at least one image: names=NAME');
  const tar = await images.save(references);
  exchange.startStream(200, 'application/x-tar');
  await exchange.sendStream(tar);
}

async function create(exchange: Exchange, services: ApiServices): Promise<void> {
  const source = exchange.text('fromSrc') ?? '';
  if (source !== '') await importTar(exchange, services, source);
  else await pull(exchange, services);
}

async function importTar(exchange: Exchange, { images }: ApiServices, source: string): Promise<void> {
  if (source !== '-') throw notImplemented(`importing from ${source} is not built yet: download it and import the file`);
  const reference = tagTarget(exchange);
  await withProgress(exchange, async (report) => {
    const id = await images.importTar(
      exchange.request,
      {
        reference: reference === '' ? null : reference,
        message: exchange.text('message') ?? '',
        changes: exchange.query.getAll('changes'),
        platform: exchange.text('platform') || null,
      },
      report,
    );
    report({ kind: 'status', text: id });
  });
}

async function pull(exchange: Exchange, { transfers }: ApiServices): Promise<void> {
  const image = exchange.text('fromImage') ?? '';
  if (image === '') throw invalid('images/create needs fromImage or fromSrc');
  const tag = exchange.text('tag') ?? '';
  const reference = tag === '' ? image : `${image}${tag.startsWith('sha256:') ? '@' : ':'}${tag}`;
  if (familiarName(parseReference(reference)) === 'scratch') throw invalid("'scratch' is a reserved name");
  const platform = exchange.text('platform') || null;
  if (platform !== null) parsePlatformSpecifier(platform);
  const credentials = registryCredentials(exchange);
  await withProgress(exchange, async (report) => {
    await refusedElsewhere(transfers.pull({ reference, platform, credentials }, report, exchange.signal));
  });
}
