/** OCI distribution specification v1.1, "Content Discovery" and "Content Management". */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mediaTypes } from '../../oci/manifest.ts';
import {
  blobOf,
  descriptorOf,
  errorCodes,
  indexOf,
  type Material,
  manifestOf,
  pushBlob,
  pushImage,
  putManifest,
} from '../testing/registry-material.ts';
import { startTestRegistry, type TestRegistry } from '../testing/test-registry.ts';

let server: TestRegistry;
let origin: string;
before(async () => {
  server = await startTestRegistry();
  ({ origin } = server);
});
after(() => server[Symbol.asyncDispose]());

const nextOf = (answer: Response) => /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1] ?? null;

async function tagsOf(path: string): Promise<readonly string[]> {
  const answer = await fetch(`${origin}/v2/${path}`);
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { tags: string[] }).tags;
}

async function pushTags(repository: string, tags: readonly string[]): Promise<Material> {
  const manifest = await pushImage(origin, repository, tags[0] ?? '');
  await Promise.all(tags.slice(1).map((tag) => putManifest(origin, repository, tag, manifest)));
  return manifest;
}

async function refer(repository: string, subject: Material, text: string, more: Readonly<Record<string, unknown>> = {}): Promise<Material> {
  const config = blobOf(text);
  await pushBlob(origin, repository, config);
  const manifest = manifestOf(config, [], { subject: descriptorOf(subject, mediaTypes.ociManifest), ...more });
  assert.equal((await putManifest(origin, repository, manifest.digest, manifest)).status, 201);
  return manifest;
}

interface Entry {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

async function entriesOf(answer: Response): Promise<readonly Entry[]> {
  assert.equal(answer.status, 200);
  const index = (await answer.json()) as { schemaVersion: number; mediaType: string; manifests: Entry[] };
  assert.deepEqual([index.schemaVersion, index.mediaType], [2, mediaTypes.ociIndex]);
  return index.manifests;
}

test('end-8a.1 tags/list: 200 with name and tags', async () => {
  await pushTags('list/tags', ['v1', 'v2']);
  const answer = await fetch(`${origin}/v2/list/tags/tags/list`);
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { name: 'list/tags', tags: ['v1', 'v2'] });
});

test('end-8a.2 tags are in lexical order, without regard to case', async () => {
  await pushTags('list/order', ['b', 'A', 'a', 'C', '10', '9', '_x']);
  assert.deepEqual(await tagsOf('list/order/tags/list'), ['10', '9', '_x', 'A', 'a', 'b', 'C']);
});

test('end-8a.3 a repository without tags has an empty list; one that is not there is 404 NAME_UNKNOWN', async () => {
  const manifest = await pushTags('list/empty', ['v1']);
  await fetch(`${origin}/v2/list/empty/manifests/v1`, { method: 'DELETE' });
  assert.deepEqual(await tagsOf('list/empty/tags/list'), []);
  assert.ok(manifest);
  const none = await fetch(`${origin}/v2/list/none/tags/list`);
  assert.deepEqual([none.status, await errorCodes(none)], [404, ['NAME_UNKNOWN']]);
});

test('end-8b.1 n limits the list, with Link to the rest until there is none', async () => {
  const tags = ['a', 'b', 'c', 'd', 'e'];
  await pushTags('list/pages', tags);
  const seen: string[] = [];
  for (let next: string | null = '/v2/list/pages/tags/list?n=2'; next !== null; ) {
    const answer: Response = await fetch(origin + next);
    const page = ((await answer.json()) as { tags: string[] }).tags;
    assert.ok(page.length === 2 || (page.length === 1 && nextOf(answer) === null));
    seen.push(...page);
    next = nextOf(answer);
  }
  assert.deepEqual(seen, tags);
});

test('end-8b.2 n=0 gives an empty list without Link', async () => {
  await pushTags('list/zero', ['a', 'b']);
  const answer = await fetch(`${origin}/v2/list/zero/tags/list?n=0`);
  assert.deepEqual([answer.status, nextOf(answer), ((await answer.json()) as { tags: string[] }).tags], [200, null, []]);
});

test('end-8b.3 last: the tags after it, whether it exists or not, with or without n', async () => {
  await pushTags('list/last', ['a', 'c', 'e']);
  assert.deepEqual(await tagsOf('list/last/tags/list?last=a'), ['c', 'e']);
  assert.deepEqual(await tagsOf('list/last/tags/list?last=b'), ['c', 'e']);
  assert.deepEqual(await tagsOf('list/last/tags/list?n=1&last=c'), ['e']);
  assert.deepEqual(await tagsOf('list/last/tags/list?last=z'), []);
});

test('SEC-29: n=2^31 and beyond is capped; what is no number is a 400', async () => {
  await pushTags('list/cap', ['a', 'b']);
  for (const n of [2 ** 31, 2 ** 53, '99999999999999999999']) assert.deepEqual(await tagsOf(`list/cap/tags/list?n=${n}`), ['a', 'b']);
  for (const n of ['-1', 'x', '1.5', '', '1e3', '9'.repeat(30)])
    assert.equal((await fetch(`${origin}/v2/list/cap/tags/list?n=${n}`)).status, 400, n);
  assert.equal((await fetch(`${origin}/v2/_catalog?n=${2 ** 31}`)).status, 200);
});

test('catalogue: repositories that hold something, sorted, in pages', async () => {
  for (const name of ['cat/b', 'cat/a', 'cat/c']) await pushImage(origin, name, 'v1');
  const answer = await fetch(`${origin}/v2/_catalog?n=2&last=cat/`);
  assert.deepEqual(await answer.json(), { repositories: ['cat/a', 'cat/b'] });
  assert.equal(nextOf(answer), '/v2/_catalog?n=2&last=cat%2Fb');
  const rest = (await (await fetch(origin + nextOf(answer))).json()) as { repositories: string[] };
  assert.equal(rest.repositories[0], 'cat/c');
});

test('end-12a.1 referrers: 200, an OCI index of all that have this subject', async () => {
  const subject = await pushImage(origin, 'ref/all', 'v1');
  const pushed = [await refer('ref/all', subject, 'one'), await refer('ref/all', subject, 'two')];
  const answer = await fetch(`${origin}/v2/ref/all/referrers/${subject.digest}`);
  assert.equal(answer.headers.get('content-type'), mediaTypes.ociIndex);
  assert.equal(answer.headers.get('oci-filters-applied'), null);
  const entries = await entriesOf(answer);
  assert.deepEqual(
    entries.map(({ digest }) => digest),
    pushed.map(({ digest }) => digest).sort(),
  );
  for (const { digest, size, mediaType } of entries) {
    assert.equal(size, pushed.find((manifest) => manifest.digest === digest)?.bytes.length);
    assert.equal(mediaType, mediaTypes.ociManifest);
  }
});

test('end-12a.2 referrers are never 404: an empty index without a subject, without a repository', async () => {
  const manifest = await pushImage(origin, 'ref/none', 'v1');
  for (const path of [
    `ref/none/referrers/${manifest.digest}`,
    `ref/none/referrers/${blobOf('x').digest}`,
    `ref/nowhere/referrers/${manifest.digest}`,
  ]) {
    assert.deepEqual(await entriesOf(await fetch(`${origin}/v2/${path}`)), []);
  }
});

test('end-12a.3 referrers of what is no digest: 400', async () => {
  for (const digest of ['sha256:12', 'v1', 'x:y']) {
    const answer = await fetch(`${origin}/v2/ref/none/referrers/${digest}`);
    assert.deepEqual([answer.status, await errorCodes(answer)], [400, ['DIGEST_INVALID']], digest);
  }
});

test('end-12a.4 artifactType of a referrer: its own, else the type of its config; none for an index without', async () => {
  const subject = await pushImage(origin, 'ref/types', 'v1');
  const own = await refer('ref/types', subject, 'own', { artifactType: 'application/vnd.own' });
  const config = await refer('ref/types', subject, 'config');
  const index = indexOf([own], { subject: descriptorOf(subject, mediaTypes.ociManifest) });
  assert.equal((await putManifest(origin, 'ref/types', 'index', index, mediaTypes.ociIndex)).status, 201);
  const entries = await entriesOf(await fetch(`${origin}/v2/ref/types/referrers/${subject.digest}`));
  const typeOf = (manifest: Material) => entries.find(({ digest }) => digest === manifest.digest);
  assert.equal(typeOf(own)?.artifactType, 'application/vnd.own');
  assert.equal(typeOf(config)?.artifactType, mediaTypes.ociConfig);
  assert.equal(typeOf(index)?.mediaType, mediaTypes.ociIndex);
  assert.ok(!('artifactType' in (typeOf(index) ?? {})));
});

test('end-12a.5 annotations of a referrer are in its descriptor', async () => {
  const subject = await pushImage(origin, 'ref/annotated', 'v1');
  await refer('ref/annotated', subject, 'noted', { annotations: { 'org.example': 'yes', __proto__x: '1' } });
  const [entry] = await entriesOf(await fetch(`${origin}/v2/ref/annotated/referrers/${subject.digest}`));
  assert.deepEqual(entry?.annotations, { 'org.example': 'yes', __proto__x: '1' });
});

test('end-12a.6 what does not fit into one answer follows by Link', async () => {
  const subject = await pushImage(origin, 'ref/many', 'v1');
  for (let i = 0; i < 5; i++) await refer('ref/many', subject, `number ${i}`, { artifactType: i < 4 ? 'application/x' : 'application/y' });
  const seen: string[] = [];
  for (let next: string | null = `/v2/ref/many/referrers/${subject.digest}?n=3&artifactType=application/x`; next !== null; ) {
    const answer: Response = await fetch(origin + next);
    next = nextOf(answer);
    assert.equal(answer.headers.get('oci-filters-applied'), 'artifactType');
    seen.push(...(await entriesOf(answer)).map(({ digest }) => digest));
  }
  assert.equal(new Set(seen).size, 4);
});

test('end-12b.1 artifactType filters, and OCI-Filters-Applied says so', async () => {
  const subject = await pushImage(origin, 'ref/filter', 'v1');
  const wanted = await refer('ref/filter', subject, 'a', { artifactType: 'application/vnd.a+json' });
  await refer('ref/filter', subject, 'b', { artifactType: 'application/vnd.b' });
  const answer = await fetch(
    `${origin}/v2/ref/filter/referrers/${subject.digest}?artifactType=${encodeURIComponent('application/vnd.a+json')}`,
  );
  assert.equal(answer.headers.get('oci-filters-applied'), 'artifactType');
  assert.deepEqual(
    (await entriesOf(answer)).map(({ digest }) => digest),
    [wanted.digest],
  );
});

test('upgrade.1 whatever is pushed with a subject is among the referrers, before and after its subject', async () => {
  const config = blobOf('{"late":1}');
  await pushBlob(origin, 'ref/late', config);
  const subject = manifestOf(config, []);
  const early = await refer('ref/late', subject, 'early');
  assert.equal((await putManifest(origin, 'ref/late', 'v1', subject)).status, 201);
  const late = await refer('ref/late', subject, 'late');
  const entries = await entriesOf(await fetch(`${origin}/v2/ref/late/referrers/${subject.digest}`));
  assert.deepEqual(
    entries.map(({ digest }) => digest),
    [early.digest, late.digest].sort(),
  );
});

test('end-9.1 DELETE of a tag: 202, and the tag alone is gone', async () => {
  const manifest = await pushTags('delete/tag', ['v1', 'v2']);
  assert.equal((await fetch(`${origin}/v2/delete/tag/manifests/v1`, { method: 'DELETE' })).status, 202);
  assert.equal((await fetch(`${origin}/v2/delete/tag/manifests/v1`)).status, 404);
  for (const reference of ['v2', manifest.digest])
    assert.equal((await fetch(`${origin}/v2/delete/tag/manifests/${reference}`)).status, 200);
  assert.equal((await fetch(`${origin}/v2/delete/tag/manifests/v1`, { method: 'DELETE' })).status, 404);
});

test('end-9.2 DELETE of a manifest: 202; then it, its tags, and what it was to its subject are gone', async () => {
  const subject = await pushTags('delete/manifest', ['v1', 'v2']);
  const referrer = await refer('delete/manifest', subject, 'r');
  assert.equal((await fetch(`${origin}/v2/delete/manifest/manifests/${referrer.digest}`, { method: 'DELETE' })).status, 202);
  assert.deepEqual(await entriesOf(await fetch(`${origin}/v2/delete/manifest/referrers/${subject.digest}`)), []);
  assert.equal((await fetch(`${origin}/v2/delete/manifest/manifests/${subject.digest}`, { method: 'DELETE' })).status, 202);
  for (const reference of ['v1', 'v2', subject.digest])
    assert.equal((await fetch(`${origin}/v2/delete/manifest/manifests/${reference}`)).status, 404);
});

test('end-9.3 DELETE in a repository that is not there: 404', async () => {
  assert.equal((await fetch(`${origin}/v2/delete/none/manifests/${blobOf('x').digest}`, { method: 'DELETE' })).status, 404);
});

test('end-10.1 DELETE of a blob: 202, then 404; other repositories keep it', async () => {
  const blob = blobOf('to be deleted');
  for (const name of ['delete/blob', 'delete/kept']) await pushBlob(origin, name, blob);
  assert.equal((await fetch(`${origin}/v2/delete/blob/blobs/${blob.digest}`, { method: 'DELETE' })).status, 202);
  assert.equal((await fetch(`${origin}/v2/delete/blob/blobs/${blob.digest}`)).status, 404);
  assert.equal((await fetch(`${origin}/v2/delete/kept/blobs/${blob.digest}`)).status, 200);
});

test('end-10.2 DELETE of a blob that is not there: 404 BLOB_UNKNOWN', async () => {
  const answer = await fetch(`${origin}/v2/delete/blob/blobs/${blobOf('never').digest}`, { method: 'DELETE' });
  assert.deepEqual([answer.status, await errorCodes(answer)], [404, ['BLOB_UNKNOWN']]);
});

test('end-9.4 end-10.3 a registry that is read-only answers 405 to deletions and pushes, and serves', async () => {
  let why: string | null = null;
  await using other = await startTestRegistry({ handler: { readOnly: () => why } });
  const manifest = await pushImage(other.origin, 'kept', 'v1');
  why = 'the registry is read-only until Monday';
  const tries = [
    ['DELETE', `manifests/${manifest.digest}`],
    ['DELETE', 'manifests/v1'],
    ['DELETE', `blobs/${blobOf('layer of kept:v1').digest}`],
    ['POST', 'blobs/uploads/'],
    ['PUT', 'manifests/v2'],
  ] as const;
  for (const [method, path] of tries) {
    const answer = await fetch(`${other.origin}/v2/kept/${path}`, { method });
    assert.deepEqual(
      [answer.status, await answer.text()],
      [405, `{"errors":[{"code":"UNSUPPORTED","message":"${why}"}]}\n`],
      `${method} ${path}`,
    );
  }
  assert.equal((await fetch(`${other.origin}/v2/kept/manifests/v1`)).status, 200);
});
