/** Pushes to a registry that does wrong: what can be survived is, the rest says what went wrong, and the next push to the registry, well again, succeeds. Needs root. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type FaultRegistry, startFaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import type { Fault, FaultRule } from '../harness/fault-registry/faults.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { addImage, layerTar, type MadeImage, noise } from '../harness/registry-images.ts';
import { type Credentials, pull, push, removeImage } from './engine-images.ts';
import { succeed } from './registry-clients.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const always = { times: Number.POSITIVE_INFINITY } as const;
const auth: Credentials = { username: 'pusher', password: 'secret-of-pusher' };
const upload = { kind: 'upload' } as const;
const bytes = { kind: 'upload', path: /uploads\/[0-9a-f-]{36}/ } as const;

interface PushCase {
  readonly on: FaultRule['on'];
  readonly fault: Fault;
  readonly more?: Pick<FaultRule, 'skip' | 'times'>;
  readonly says?: RegExp;
}

const answer = (status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: { code, message },
});

const survived: Readonly<Record<string, PushCase>> = {
  'an upload whose connection is reset': { on: bytes, fault: { kind: 'break-upload', afterBytes: 100_000, how: 'reset' } },
  'an upload that ends in 500': { on: bytes, fault: { kind: 'break-upload', afterBytes: 100_000, how: 500 } },
  'an upload that is answered by 503': { on: bytes, fault: answer(503, 'UNAVAILABLE', 'be patient', { 'Retry-After': '1' }) },
  '429 at its begin': {
    on: { ...upload, method: 'POST' },
    fault: answer(429, 'TOOMANYREQUESTS', 'too many requests', { 'Retry-After': '1' }),
  },
  'a reset at its begin': { on: { ...upload, method: 'POST' }, fault: { kind: 'reset' } },
  'an upload that the registry forgot': { on: bytes, fault: answer(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry') },
  'bytes that the registry lost': { on: { ...bytes, method: 'PATCH' }, fault: { kind: 'lose-upload-bytes', keepBytes: 50_000 } },
  'a mount that is refused': { on: { ...upload, method: 'POST', path: /mount=/ }, fault: { kind: 'refuse-mount' }, more: always },
  '503 for the manifest': {
    on: { kind: 'manifest', method: 'PUT' },
    fault: answer(503, 'UNAVAILABLE', 'be patient', { 'Retry-After': '1' }),
  },
};

const fatal: Readonly<Record<string, PushCase>> = {
  '500 for every upload': {
    on: { ...upload, method: 'POST' },
    fault: answer(500, 'UNKNOWN', 'something broke'),
    more: always,
    says: /500|something broke/,
  },
  'no more room': { on: bytes, fault: answer(507, 'UNKNOWN', 'insufficient storage'), more: always, says: /507|insufficient storage/i },
  'a quota': {
    on: { ...upload, method: 'POST' },
    fault: answer(403, 'DENIED', 'requested access to the resource is denied'),
    more: always,
    says: /denied/,
  },
  'a place on a machine that is nobody’s business': {
    on: { ...upload, method: 'POST' },
    fault: { kind: 'headers', set: { Location: 'http://169.254.169.254/upload' } },
    more: always,
    says: /169\.254\.169\.254|location/i,
  },
  'no place at all': {
    on: { ...upload, method: 'POST' },
    fault: { kind: 'headers', set: { Location: null } },
    more: always,
    says: /location/i,
  },
  'a manifest that is refused': {
    on: { kind: 'manifest', method: 'PUT' },
    fault: answer(400, 'MANIFEST_INVALID', 'manifest invalid'),
    more: always,
    says: /manifest invalid/i,
  },
  'another digest than that of the manifest': {
    on: { kind: 'manifest', method: 'PUT' },
    fault: { kind: 'headers', set: { 'Docker-Content-Digest': `sha256:${'0'.repeat(64)}` } },
    more: always,
    says: /digest|sha256:0000/i,
  },
};

describe('a push to a registry that does wrong', { skip }, () => {
  let daemon: GantryDaemon;
  let source: FaultRegistry;
  let target: FaultRegistry;
  let image: MadeImage;
  let number = 0;

  before(async () => {
    [daemon, source] = await Promise.all([startGantry({ flags: ['--max-download-attempts', '2'] }), startFaultRegistry()]);
    const layers = [1, 2].map((index) => ({ tar: layerTar({ path: `file-${index}`, content: noise(400_000, index) }) }));
    image = addImage(source.content, 'source', 'latest', { layers });
    const { error } = await pull(daemon.host, `${source.host}/source:latest`);
    assert.equal(error, null);
  });
  after(async () => {
    await daemon?.dispose();
    await source?.close();
  });

  for (const [name, one] of Object.entries({ ...survived, ...fatal })) {
    test(`${one.says === undefined ? 'survived' : 'refused'}: ${name}`, async (context) => {
      // A new host each time: nothing is known about what it has.
      target = await startFaultRegistry({ address: '127.0.0.1', auth: { scheme: 'bearer', users: { [auth.username]: auth.password } } });
      context.after(() => target.close());
      const reference = `${target.host}/pushed-${++number}:latest`;
      await succeed('docker', '-H', daemon.host, 'tag', `${source.host}/source:latest`, reference);
      context.after(() => removeImage(daemon.host, reference));
      const planned = target.plan(one.on, one.fault, one.more);
      const { error } = await push(daemon.host, reference, { auth });
      if (one.says === undefined) {
        assert.equal(error, null);
        if (!/mount|lost/.test(name)) assert.ok(planned.met > 0, 'the fault was not met');
      } else {
        assert.match(error ?? 'it succeeded', one.says);
        assert.doesNotMatch(error ?? '', /secret-of-pusher|undefined|\[object|\n/);
        target.clearPlan();
        const again = await push(daemon.host, reference, { auth });
        assert.equal(again.error, null);
      }
      const pushed = target.content.manifest(`pushed-${number}`, 'latest');
      assert.deepEqual(pushed?.bytes, source.content.manifest('source', image.manifest.digest)?.bytes);
      for (const { digest, size } of [...image.layers, image.config]) assert.equal(target.content.blob(digest)?.sizeBytes, size);
    });
  }

  test('a token that expires in the middle of a push', async (context) => {
    target = await startFaultRegistry({ auth: { scheme: 'bearer', users: { [auth.username]: auth.password }, tokenUses: 8 } });
    context.after(() => target.close());
    const reference = `${target.host}/expires:latest`;
    await succeed('docker', '-H', daemon.host, 'tag', `${source.host}/source:latest`, reference);
    context.after(() => removeImage(daemon.host, reference));
    assert.equal((await push(daemon.host, reference, { auth })).error, null);
    assert.ok(target.requests.filter(({ kind }) => kind === 'token').length > 1);
  });
});
