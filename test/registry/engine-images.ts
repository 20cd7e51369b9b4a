/** Images of a daemon over its API: pulled and pushed as the docker CLI does it, without starting one; and what a failed transfer may leave. */

import { statSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { engineCall, engineRequest } from '../faults/engine-request.ts';
import { layersAndBlobs } from '../faults/load-crash.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';

export interface TransferOutcome {
  /** Null: it succeeded. */
  readonly error: string | null;
  /** Of an answer that was no stream. */
  readonly status: number;
  /** The messages of the stream. */
  readonly messages: readonly Message[];
}

interface Message {
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
  readonly aux?: { readonly Digest?: string };
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** `reference`: with a tag or digest. */
export function pull(
  host: string,
  reference: string,
  options: { readonly auth?: Credentials; readonly platform?: string } = {},
): Promise<TransferOutcome> {
  const [name, tag] = reference.includes('@')
    ? reference.split('@')
    : [reference.replace(/:[^:/]+$/, ''), /:([^:/]+)$/.exec(reference)?.[1] ?? 'latest'];
  const query = new URLSearchParams({
    fromImage: name ?? '',
    tag: tag ?? '',
    ...(options.platform === undefined ? {} : { platform: options.platform }),
  });
  return transfer(host, `/images/create?${query}`, options.auth);
}

export function push(host: string, reference: string, options: { readonly auth?: Credentials } = {}): Promise<TransferOutcome> {
  const tag = /:([^:/]+)$/.exec(reference)?.[1];
  const name = tag === undefined ? reference : reference.slice(0, -tag.length - 1);
  return transfer(host, `/images/${name}/push?tag=${tag ?? ''}`, options.auth);
}

function transfer(host: string, path: string, auth: Credentials | undefined): Promise<TransferOutcome> {
  const header = Buffer.from(JSON.stringify(auth ?? {})).toString('base64url');
  return new Promise((resolve) => {
    const lost = (): void => resolve({ error: 'the daemon is gone', status: 0, messages: [] });
    const options = { socketPath: host.replace('unix://', ''), method: 'POST', path: `/v1.51${path}`, agent: false };
    const sent = request({ ...options, headers: { 'X-Registry-Auth': header, 'Content-Length': 0 } }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () => resolve(outcomeOf(response.statusCode ?? 0, Buffer.concat(pieces).toString())));
      response.on('error', lost).on('aborted', lost);
    });
    sent.on('error', lost);
    sent.end();
  });
}

function outcomeOf(status: number, body: string): TransferOutcome {
  if (status >= 400) return { error: (JSON.parse(body) as { message: string }).message, status, messages: [] };
  const lines = body.split('\n').filter((line) => line.trim() !== '');
  const messages = lines.map((line) => JSON.parse(line) as Message);
  return { error: messages.find(({ error }) => error !== undefined)?.error ?? null, status, messages };
}

export interface InspectedImage {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  readonly RootFS: { readonly Layers: readonly string[] };
}

/** Null: no such image. */
export async function inspectImage(host: string, reference: string): Promise<InspectedImage | null> {
  const reply = await engineRequest(host, 'GET', `/images/${reference}/json`);
  if (reply?.status === 404) return null;
  if (reply?.status !== 200) throw new Error(`inspect ${reference}: ${reply === null ? 'no answer' : `${reply.status} ${reply.body}`}`);
  return JSON.parse(reply.body) as InspectedImage;
}

export async function removeImage(host: string, reference: string): Promise<void> {
  await engineCall(host, 'DELETE', `/images/${reference}?force=1`);
}

/** Unfinished downloads, by digest. */
export function partialBlobs({ dataRoot }: GantryDaemon): readonly string[] {
  return listOrEmpty(`${dataRoot}/blobs/partial`).map((name) => `sha256:${name}`);
}

/** Of a blob whose download was given up; null: nothing. */
export function keptBytes({ dataRoot }: GantryDaemon, digest: string): number | null {
  return statSync(`${dataRoot}/blobs/partial/${digest.slice('sha256:'.length)}`, { throwIfNoEntry: false })?.size ?? null;
}

/** Layers, blobs and their beginnings, once background removal is through; empty for a daemon without images. */
export async function imageTraces(daemon: GantryDaemon, patienceMs = 10_000): Promise<readonly string[]> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const unfinished = listOrEmpty(`${daemon.dataRoot}/layers`).filter((name) => name.startsWith('tmp-'));
    const left = [...layersAndBlobs(daemon), ...listOrEmpty(`${daemon.dataRoot}/blobs/tmp`), ...unfinished];
    if (left.length === 0 || Date.now() > deadline) return left;
    await delay(25);
  }
}
