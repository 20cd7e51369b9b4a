/** Layers that are unpacked while their blob still grows: cut, wrong, begun again. Needs root: layers have owners and whiteouts. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { DiffId } from '../../src/base/brand.ts';
import { BlobGrowth } from '../../src/store/blob-growth.ts';
import type { IncomingBlob, LayerSource } from '../../src/store/layer-store.ts';
import { LayerFixture, layerTar, needsRoot } from './layer-fixture.ts';

/** Comes in pieces; `attempts` are the bytes of each beginning. */
class SlowBlob implements IncomingBlob {
  readonly path: string;
  readonly sizeBytes: number;
  readonly proofs = new Set<DiffId>();
  readonly #growth = new BlobGrowth();
  readonly #attempts: Uint8Array[];
  #whole: Promise<void>;

  constructor(path: string, ...attempts: Uint8Array[]) {
    this.path = path;
    this.sizeBytes = attempts[0]?.length ?? 0;
    this.#attempts = attempts;
    writeFileSync(path, '');
    this.#whole = this.#send();
    this.#whole.catch(() => {});
  }

  get growth(): SharedArrayBuffer {
    return this.#growth.shared;
  }

  whole = () => this.#whole;

  async again(epoch: number): Promise<void> {
    if (epoch !== this.#growth.epoch) return;
    if (this.#attempts.length === 0) throw new Error('it was wrong every time');
    this.#growth.restart();
    truncateSync(this.path, 0);
    this.#whole = this.#send();
  }

  proved = (diffId: DiffId) => void this.proofs.add(diffId);
  hasProved = (diffId: DiffId) => this.proofs.has(diffId);

  async #send(): Promise<void> {
    const bytes = this.#attempts.shift() ?? new Uint8Array(0);
    for (let at = 0; at < bytes.length; at += 20_000) {
      await delay(5);
      appendFileSync(this.path, bytes.subarray(at, at + 20_000));
      this.#growth.reached(Math.min(bytes.length, at + 20_000));
    }
    if (bytes.length < this.sizeBytes) {
      this.#growth.end('failed');
      throw new Error('the way was cut');
    }
    this.#growth.end('complete');
  }
}

/** Does not compress, and is the same in every run. */
function noiseOf(length: number): string {
  let state = 88172645;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return 32 + ((state >>> 0) % 95);
  };
  return Buffer.from(Array.from({ length }, next)).toString('latin1');
}

const noise = noiseOf(100_000);
const tar = layerTar(
  { path: './' },
  { path: 'etc/' },
  { path: 'etc/big', content: noise.slice(0, 100_000) },
  { path: 'etc/small', content: 'x' },
);

async function fixtureWith(
  run: (
    fixture: LayerFixture,
    incoming: (source: LayerSource, ...attempts: Uint8Array[]) => LayerSource & { incoming: SlowBlob },
  ) => Promise<void>,
) {
  const fixture = new LayerFixture();
  const incoming = (source: LayerSource, ...attempts: Uint8Array[]) => ({
    ...source,
    incoming: new SlowBlob(join(fixture.directory, `slow-${source.blob.slice(7, 15)}`), ...attempts),
  });
  try {
    await run(fixture, incoming);
  } finally {
    await fixture.close();
  }
}

function left(fixture: LayerFixture): readonly string[] {
  return readdirSync(fixture.root).filter((name) => name !== 'l' && !name.startsWith('init-'));
}

test('a gzip layer is unpacked and proved while it comes; one that is there is only proved', { skip: needsRoot }, async () => {
  await fixtureWith(async (fixture, incoming) => {
    const packed = gzipSync(tar);
    const source = incoming(fixture.add(tar, [], packed), packed);
    const [layer] = await fixture.unpack([source]);
    assert.equal(readFileSync(fixture.inLayer(layer, 'etc/small'), 'utf8'), 'x');
    assert.ok(source.incoming.hasProved(source.diffId));
    const plain = incoming(fixture.add(tar), tar);
    await fixture.unpack([plain]);
    assert.ok(plain.incoming.hasProved(plain.diffId));
  });
});

test('SEC-23 bytes that are wrong come again; wrong for ever, they leave nothing', { skip: needsRoot }, async () => {
  await fixtureWith(async (fixture, incoming) => {
    for (const packed of [gzipSync(tar), tar]) {
      const wrong = Buffer.from(packed);
      wrong.fill(1, wrong.length >> 1, (wrong.length >> 1) + 10);
      const source = fixture.add(tar, [], packed);
      await assert.rejects(fixture.unpack([incoming(source, wrong)]), /wrong every time/);
      assert.deepEqual(left(fixture), []);
      const [layer] = await fixture.unpack([incoming(source, wrong, packed)]);
      assert.ok(existsSync(fixture.inLayer(layer, 'etc/big')));
      await fixture.store.sweep(new Set());
    }
  });
});

test('SEC-23 a blob that is whole and not the layer it should be: an error, not another try', { skip: needsRoot }, async () => {
  await fixtureWith(async (fixture, incoming) => {
    const other = layerTar({ path: './' }, { path: 'other', content: 'y' });
    const source = { ...fixture.add(tar), blob: fixture.add(other).blob };
    await assert.rejects(fixture.unpack([incoming(source, other, other)]), {
      code: 'invalid',
      message: /uncompressed layer is not what its digest says/,
    });
    assert.deepEqual(left(fixture), []);
  });
});

test('a layer that stands on its parents is unpacked on top of them, whichever comes first', { skip: needsRoot }, async () => {
  await fixtureWith(async (fixture, incoming) => {
    const upper = layerTar({ path: 'etc/more', content: noise.slice(0, 60_000) });
    const [below, above] = fixture.chain(tar, upper);
    assert.ok(below && above);
    const [, layer] = await fixture.unpack([incoming(below, tar), incoming(above, upper)]);
    assert.match(layer?.directory ?? '', /^c-/);
    assert.ok(existsSync(fixture.inLayer(layer, 'etc/more')));
  });
});

test('a download that fails, and a caller that leaves, end the reading at once and leave nothing', { skip: needsRoot }, async () => {
  await fixtureWith(async (fixture, incoming) => {
    const source = fixture.add(tar);
    const cut = incoming(source, tar);
    const slow = new SlowBlob(join(fixture.directory, 'cut'), tar.subarray(0, 50_000));
    Object.defineProperty(slow, 'sizeBytes', { value: tar.length });
    await assert.rejects(fixture.unpack([{ ...source, incoming: slow }]), /the way was cut/);
    assert.deepEqual(left(fixture), []);
    const leaver = new AbortController();
    const leaving = fixture.unpack([cut], leaver.signal);
    leaver.abort(new Error('the client left'));
    await assert.rejects(leaving, /the client left/);
    assert.deepEqual(left(fixture), []);
  });
});
