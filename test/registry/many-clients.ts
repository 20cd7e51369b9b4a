/**
 * Many clients push, mount, pull, tag anew and delete at once while the registry collects its garbage. What was acknowledged is there: every manifest with every blob
 * that it names, until somebody deletes it. A client that is slower than the grace pushes again what was taken, as any client does.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../src/base/brand.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { randomFrom } from '../faults/crash-round.ts';
import { noise } from '../harness/registry-images.ts';
import { NoAnswer, WireClient, WrongAnswer } from './wire-client.ts';

export interface CrowdOptions {
  readonly host: string;
  readonly clients: number;
  /** Of each client. */
  readonly operations: number;
  readonly seed: number;
  /** The registry's: what nobody names for so long may go. */
  readonly graceMs: number;
  /** The registry is killed now and then: what got no answer is not known. */
  readonly dies?: boolean;
}

export interface CrowdFigures {
  pushes: number;
  mounts: number;
  pulls: number;
  deletes: number;
  /** Manifests that the registry refused because a blob had gone after its grace. */
  lateManifests: number;
  unanswered: number;
}

interface Kept {
  readonly repository: string;
  readonly digest: Digest;
  readonly blobs: readonly Digest[];
  /** Somebody is deleting it: it may be gone. */
  dying: boolean;
}

const repositories = ['a', 'b/c', 'd', 'e/f/g', 'h', 'i'] as const;
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
/** Blobs that all clients share; others are one client's own. */
const sharedBlobs = 24;

export class Crowd {
  readonly figures: CrowdFigures = { pushes: 0, mounts: 0, pulls: 0, deletes: 0, lateManifests: 0, unanswered: 0 };
  readonly #options: CrowdOptions;
  readonly #kept = new Set<Kept>();
  readonly #shared: readonly Buffer[];
  #number = 0;

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#shared = Array.from({ length: sharedBlobs }, (_, index) => noise(500 + index * index * 300, options.seed + index));
  }

  /** Throws what the first client saw that must not be; the others stop at their next step. */
  async run(): Promise<void> {
    const { clients, operations, seed } = this.#options;
    let isOver = false;
    const one = async (index: number): Promise<void> => {
      const client = new WireClient(this.#options.host);
      const random = randomFrom(seed * 1000 + index);
      try {
        for (let step = 0; step < operations && !isOver; ) if (await this.#step(client, random)) step++;
      } catch (thrown) {
        isOver = true;
        throw thrown;
      } finally {
        client.close();
      }
    };
    await Promise.all(Array.from({ length: clients }, (_, index) => one(index)));
  }

  /** Everything that was acknowledged and not deleted, byte by byte. */
  async checkAll(): Promise<number> {
    const client = new WireClient(this.#options.host);
    try {
      for (const kept of this.#kept) await this.#pull(client, kept);
    } finally {
      client.close();
    }
    return this.#kept.size;
  }

  /** Afterwards nothing is needed any more. */
  async deleteAll(): Promise<void> {
    const client = new WireClient(this.#options.host);
    for (const repository of repositories) {
      const { body, status } = await client.expect([200, 404], 'GET', `/v2/${repository}/tags/list`);
      if (status === 404) continue;
      for (const kept of [...this.#kept].filter((one) => one.repository === repository)) await this.#delete(client, kept);
      assert.ok(body.length > 0);
    }
    client.close();
  }

  /** False: no answer came, and the server has come back since. */
  async #step(client: WireClient, random: () => number): Promise<boolean> {
    const kept = [...this.#kept].filter(({ dying }) => !dying);
    const dice = random();
    const chosen = kept[Math.floor(random() * kept.length)];
    try {
      if (dice < 0.45 || chosen === undefined) await this.#push(client, random);
      else if (dice < 0.85) await this.#pull(client, chosen);
      else await this.#delete(client, chosen);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof NoAnswer) || this.#options.dies !== true) throw thrown;
      this.figures.unanswered++;
      await untilAnswered(client);
      return false;
    }
  }

  async #push(client: WireClient, random: () => number): Promise<void> {
    const repository = repositories[Math.floor(random() * repositories.length)] ?? 'a';
    const own = noise(200 + Math.floor(random() * 30_000), Math.floor(random() * 2 ** 31));
    const picked = [0, 1].map(() => this.#shared[Math.floor(random() * sharedBlobs)] ?? own);
    const config = Buffer.from(JSON.stringify({ number: this.#number++, os: 'linux' }));
    const blobs = [config, own, ...picked];
    const layers = blobs
      .slice(1)
      .map((bytes) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(bytes), size: bytes.length }));
    const named = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length };
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config: named, layers }));
    const reference = random() < 0.5 ? `tag-${Math.floor(random() * 20)}` : digestOf(manifest);
    for (let attempt = 1; ; attempt++) {
      const started = performance.now();
      for (const bytes of blobs) await this.#pushBlob(client, repository, bytes, random);
      if (await this.#putManifest(client, repository, reference, manifest, started, attempt)) break;
    }
    this.#kept.add({ repository, digest: digestOf(manifest), blobs: blobs.map(digestOf), dying: false });
    this.figures.pushes++;
  }

  async #pushBlob(client: WireClient, repository: string, bytes: Buffer, random: () => number): Promise<void> {
    if (random() < 0.5 && (await client.hasBlob(repository, digestOf(bytes)))) return;
    const from = random() < 0.4 ? (repositories[Math.floor(random() * repositories.length)] ?? null) : null;
    const how = await client.pushBlob(repository, bytes, 1 + Math.floor(random() * 3), from);
    if (how === 'mounted') this.figures.mounts++;
  }

  /** False: a blob of it is gone, after its grace. */
  async #putManifest(
    client: WireClient,
    repository: string,
    reference: string,
    manifest: Buffer,
    started: number,
    attempt: number,
  ): Promise<boolean> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await client.ask('PUT', path, manifest, { 'Content-Type': manifestType });
    if (answer.status === 201) return true;
    const isLate = performance.now() - started > this.#options.graceMs * 0.9;
    if (!isLate || attempt === 20 || !answer.body.includes('MANIFEST_BLOB_UNKNOWN')) throw new WrongAnswer(`PUT ${path}`, answer);
    this.figures.lateManifests++;
    return false;
  }

  async #pull(client: WireClient, kept: Kept): Promise<void> {
    try {
      const { body } = await client.expect([200], 'GET', `/v2/${kept.repository}/manifests/${kept.digest}`, undefined, {
        Accept: manifestType,
      });
      assert.equal(digestOf(body), kept.digest);
      for (const digest of kept.blobs) await client.blob(kept.repository, digest);
      this.figures.pulls++;
    } catch (thrown) {
      if (kept.dying && thrown instanceof WrongAnswer && thrown.answer.status === 404) return;
      throw thrown;
    }
  }

  async #delete(client: WireClient, kept: Kept): Promise<void> {
    kept.dying = true;
    this.#kept.delete(kept);
    await client.expect([202, 404], 'DELETE', `/v2/${kept.repository}/manifests/${kept.digest}`);
    this.figures.deletes++;
  }
}

async function untilAnswered(client: WireClient): Promise<void> {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await delay(50)) {
    const answer = await client.ask('GET', '/v2/').catch(() => null);
    if (answer !== null) return;
  }
  throw new Error('the registry did not come back within two minutes');
}

export function crowdText({ pushes, mounts, pulls, deletes, lateManifests, unanswered }: CrowdFigures): string {
  return `${pushes} pushes, ${mounts} mounts, ${pulls} pulls, ${deletes} deletions; ${lateManifests} manifests later than the grace, ${unanswered} requests without an answer`;
}
