/** What is asked of registries through the daemon: push, log in, search, what there is. The pull is in image-transfer-routes.ts, as `images/create` is an import too. */
import Type from 'typebox';
import { invalid } from '../../base/errors.ts';
import type { Platform } from '../../oci/platform.ts';
import { decoderOf } from '../../wire/decode.ts';
import { booleanFilter, type Filters, requireKnownFilters } from '../../wire/filters.ts';
import type { Exchange } from '../exchange.ts';
import { withProgress } from '../image-progress.ts';
import { platformParameter } from '../platform-parameter.ts';
import { credentialsOf, refusedElsewhere, registryCredentials } from '../registry-auth.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

const authRequest = decoderOf(
  Type.Object({
    username: Type.Optional(Type.String()),
    password: Type.Optional(Type.String()),
    email: Type.Optional(Type.String()),
    serveraddress: Type.Optional(Type.String()),
    identitytoken: Type.Optional(Type.String()),
    registrytoken: Type.Optional(Type.String()),
  }),
);

const searchFilters = new Set(['is-official', 'is-automated', 'stars']);
const searchLimit = 25;
const searchLimitMost = 100;

export function registryRoutes(services: ApiServices): readonly Route[] {
  return [
    { method: 'POST', pattern: '/images/{name:*}/push', body: 'any', handle: (exchange) => push(exchange, services) },
    { method: 'GET', pattern: '/images/search', body: 'any', handle: (exchange) => search(exchange, services) },
    { method: 'GET', pattern: '/distribution/{name:*}/json', body: 'any', handle: (exchange) => describe(exchange, services) },
    { method: 'POST', pattern: '/auth', body: 'json', handle: (exchange) => logIn(exchange, services) },
  ];
}

async function push(exchange: Exchange, { transfers }: ApiServices): Promise<void> {
  const tag = exchange.text('tag') ?? '';
  const name = exchange.parameter('name');
  const credentials = registryCredentials(exchange);
  const platform = platformParameter(exchange);
  // Old clients put their credentials into the body, too.
  exchange.request.resume();
  await withProgress(exchange, async (report) => {
    await refusedElsewhere(
      transfers.push({ reference: tag === '' ? name : `${name}:${tag}`, platform, credentials }, report, exchange.signal),
    );
  });
}

async function search(exchange: Exchange, { transfers }: ApiServices): Promise<void> {
  const term = exchange.text('term') ?? '';
  if (term === '') throw invalid('search needs a term');
  const filters = exchange.filters();
  requireKnownFilters(filters, searchFilters);
  const limit = exchange.integer('limit') ?? searchLimit;
  if (limit < 1 || limit > searchLimitMost) throw invalid(`limit ${limit} is outside the range of [1, ${searchLimitMost}]`);
  const asked = transfers.search(term, {
    credentials: registryCredentials(exchange),
    limit,
    official: booleanFilter(filters, 'is-official'),
    automated: booleanFilter(filters, 'is-automated'),
    minStars: starsOf(filters),
    signal: exchange.signal,
  });
  const results = await refusedElsewhere(asked);
  exchange.sendJson(
    200,
    results.map(({ name, description, starCount, isOfficial }) => ({
      star_count: starCount,
      is_official: isOfficial,
      name,
      is_automated: false,
      description,
    })),
  );
}

function starsOf(filters: Filters): number {
  const values = (filters.stars ?? []).map((text) => {
    if (!/^\d{1,9}$/.test(text)) throw invalid(`invalid filter 'stars=[${text}]'`);
    return Number(text);
  });
  return Math.max(0, ...values);
}

async function describe(exchange: Exchange, { transfers }: ApiServices): Promise<void> {
  const { descriptor, platforms } = await refusedElsewhere(
    transfers.describe(exchange.parameter('name'), registryCredentials(exchange), exchange.signal),
  );
  const { mediaType, digest, size } = descriptor;
  exchange.sendJson(200, { Descriptor: { mediaType, digest, size }, Platforms: platforms.map(platformJson) });
}

function platformJson({ architecture, os, variant, 'os.version': version }: Platform): object {
  return {
    architecture,
    os,
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(variant === undefined ? {} : { variant }),
  };
}

async function logIn(exchange: Exchange, { transfers }: ApiServices): Promise<void> {
  const request = authRequest(await exchange.json());
  const credentials = credentialsOf(request);
  if (credentials === null) throw invalid('login needs a username and a password, or an identity token');
  const { identityToken } = await transfers.logIn(request.serveraddress ?? '', credentials, exchange.signal);
  exchange.sendJson(200, { IdentityToken: identityToken, Status: 'Login Succeeded' });
}
