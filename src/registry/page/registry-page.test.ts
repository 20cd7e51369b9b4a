/** The page over a registry whose contents are hostile, under access control that lets some things be read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaTypes } from '../../oci/manifest.ts';
import { type AccessControl, openAccess } from '../access.ts';
import type { PageRequest } from './page-request.ts';
import { createRegistryPage, type RegistryPage } from './registry-page.ts';
import { FixedRegistry } from './testing/fixed-registry.ts';

const layer = (text: string) => Buffer.from(text.repeat(1000));
const plain = {
  config: { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [] } },
  layers: [layer('a'), layer('b')],
};

function get(page: RegistryPage, target: string, more: Partial<PageRequest> = {}) {
  return page({ method: 'GET', target, authorization: null, address: '127.0.0.1', origin: 'http://localhost:5000', ...more });
}

function openPage(fill: (fixed: FixedRegistry) => void, access: AccessControl = openAccess) {
  const fixed = new FixedRegistry();
  fill(fixed);
  return createRegistryPage({ registry: fixed.registry, access, hasUsers: access !== openAccess });
}

/** `reader` may read what starts with `open/`, anybody `public/`. */
const someAccess: AccessControl = {
  async decide({ authorization }, scope) {
    const user = authorization === `Basic ${btoa('reader:secret')}` ? 'reader' : null;
    if (scope.kind !== 'repository') return { kind: 'granted', user };
    if (scope.name.startsWith('public/') || (user !== null && scope.name.startsWith('open/'))) return { kind: 'granted', user };
    return user === null
      ? { kind: 'challenge', challenge: 'Basic realm="here"', message: 'log in' }
      : { kind: 'denied', message: 'reader may not' };
  },
};

test('registry page: repositories, tags, a platform list and an image with its layers, config and commands', async () => {
  const page = openPage((fixed) => {
    const amd64 = fixed.tagImage('team/app', null, {
      ...plain,
      config: {
        ...plain.config,
        created: '2026-11-20T10:00:00Z',
        config: { Env: ['PATH=/bin', 'COLOUR=blue'], Cmd: ['/bin/app', '--serve'], Labels: { version: '1.2' } },
        history: [{ created_by: 'COPY app /bin' }, { created_by: 'ENV COLOUR=blue', empty_layer: true }, { created_by: 'RUN make' }],
      },
    });
    const arm64 = fixed.tagImage('team/app', null, { ...plain, layers: [layer('a'), layer('c')] });
    fixed.tagDocument('team/app', 'latest', mediaTypes.ociIndex, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...amd64, platform: { os: 'linux', architecture: 'amd64' } },
        { ...arm64, platform: { os: 'linux', architecture: 'arm64' } },
      ],
    });
    fixed.tagImage('team/app', 'small', { ...plain, layers: [layer('a')] });
  });
  const list = await get(page, '/');
  assert.equal(list.status, 200);
  assert.match(list.body, /<a href="\/browse\/team\/app">team\/app<\/a>/);
  const tags = await get(page, '/browse/team/app');
  assert.match(tags.body, /linux\/amd64, linux\/arm64/);
  assert.match(tags.body, /2 tags/);
  assert.match(tags.body, /saved by sharing/);
  const index = await get(page, '/browse/team/app:latest');
  assert.match(index.body, /docker pull localhost:5000\/team\/app:latest/);
  const [, inner = ''] = /href="(\/browse\/team\/app@sha256:[0-9a-f]{64})">linux\/amd64/.exec(index.body) ?? [];
  const image = await get(page, inner);
  for (const text of [
    'COLOUR=blue',
    'COPY app /bin',
    'RUN make',
    'version',
    '2 layers',
    '1 kB shared with other tags here',
    'created 2026-11-20 10:00 UTC',
  ]) {
    assert.ok(image.body.includes(text), text);
  }
});

test('registry page: SEC-32 what images say of themselves never becomes markup', async () => {
  const evil = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>';
  const page = openPage((fixed) => {
    fixed.tagImage('a/b', 'evil', {
      config: {
        os: evil,
        architecture: evil,
        created: evil,
        author: evil,
        config: {
          Env: [`X=${evil}`],
          Labels: { [evil]: evil, turned: 'a\u202Eb\u0007' },
          Cmd: [evil],
          User: evil,
          Volumes: { [evil]: {} },
        },
        history: [{ created_by: evil, comment: evil, created: evil }],
        rootfs: { type: 'layers', diff_ids: [] },
      },
      layers: [layer('a')],
      annotations: {
        [evil]: evil,
        'org.opencontainers.image.url': 'javascript:alert(1)',
        'org.opencontainers.image.source': 'https://example.com/"><script>',
      },
    });
    fixed.tagDocument('a/b', 'artifact', 'application/x<script>', { evil });
  });
  for (const target of [
    '/',
    `/?q=${encodeURIComponent(evil)}&after=${encodeURIComponent(evil)}`,
    '/browse/a/b',
    `/browse/a/b?q=${encodeURIComponent(evil)}`,
    '/browse/a/b:evil',
    '/browse/a/b:artifact',
    `/${evil}`,
  ]) {
    const { body, headers } = await get(page, target);
    assert.doesNotMatch(body, /<script|<img|javascript:alert\(1\)"/i, target);
    assert.ok(!body.includes('\u202E') && !body.includes('\u0007'), target);
    assert.match(
      headers['Content-Security-Policy'] ?? '',
      /default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'/,
    );
    assert.equal(headers['X-Content-Type-Options'], 'nosniff');
  }
});

test('registry page: SEC-26 shows what its reader may read, and does not tell what there is beside it', async () => {
  const page = openPage((fixed) => {
    for (const name of ['public/a', 'open/b', 'closed/c']) fixed.tagImage(name, 'latest', plain);
  }, someAccess);
  const authorization = `Basic ${btoa('reader:secret')}`;
  assert.deepEqual(namesIn((await get(page, '/')).body), ['public/a']);
  assert.match((await get(page, '/')).body, /href="\/login"/);
  const known = await get(page, '/', { authorization });
  assert.deepEqual(namesIn(known.body), ['open/b', 'public/a']);
  assert.match(known.body, /class="who">reader</);
  assert.equal((await get(page, '/browse/open/b:latest')).status, 401);
  assert.equal((await get(page, '/browse/open/b:latest', { authorization })).status, 200);
  const [closed, absent] = await Promise.all(['closed/c', 'closed/nothing'].map((name) => get(page, `/browse/${name}`, { authorization })));
  assert.equal(closed?.status, 403);
  assert.deepEqual(closed, absent);
  const login = await get(page, '/login');
  assert.equal(login.status, 401);
  assert.match(login.headers['WWW-Authenticate'] ?? '', /^Basic realm="http:\/\/localhost:5000"/);
  assert.equal((await get(page, '/login', { authorization })).headers.Location, '/');
});

test('registry page: goes on page by page and finds by a part of the name', async () => {
  const page = openPage((fixed) => {
    for (let at = 0; at < 120; at++) fixed.tagImage(`many/n${String(at).padStart(3, '0')}`, 'latest', plain);
    for (let at = 0; at < 70; at++) fixed.tagImage('tags', `v${String(at).padStart(3, '0')}`, plain);
  });
  const seen: string[] = [];
  for (let target: string | null = '/?q=many'; target !== null; ) {
    const { body } = await get(page, target);
    seen.push(...namesIn(body));
    target = nextOf(body);
  }
  assert.equal(seen.length, 120);
  assert.equal(new Set(seen).size, 120);
  assert.deepEqual(namesIn((await get(page, '/?q=n11')).body).length, 10);
  const first = await get(page, '/browse/tags');
  const second = await get(page, nextOf(first.body) ?? '');
  assert.match(first.body, /tags:v049/);
  assert.match(second.body, /tags:v069/);
  assert.equal(nextOf(second.body), null);
});

test('registry page: refuses what is no page of it', async () => {
  const page = openPage((fixed) => fixed.tagImage('a', 'latest', plain));
  for (const target of [
    '/nothing',
    '/browse/',
    '/browse/../etc/passwd',
    '/browse/a:no',
    '/browse/A',
    '/browse/%2e%2e/a',
    '/%',
    `/browse/${'a/'.repeat(600)}a`,
  ]) {
    assert.equal((await get(page, target)).status, 404, target);
  }
  const posted = await get(page, '/', { method: 'POST' });
  assert.deepEqual([posted.status, posted.headers.Allow], [405, 'GET, HEAD']);
});

function namesIn(body: string): string[] {
  return [...body.matchAll(/<a href="\/browse\/([^":@]+)">\1</g)].map((match) => match[1] ?? '');
}

function nextOf(body: string): string | null {
  return /rel="next" href="([^"]+)"/.exec(body)?.[1]?.replaceAll('&amp;', '&') ?? null;
}
