/** What tests push: blobs, manifests, and the requests that bring them to a server. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import type { Digest } from '../../base/brand.ts';
import { digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/manifest.ts';
import type { Writer } from '../registry.ts';

export const tester: Writer = { user: null, address: '127.0.0.1', userAgent: 'test' };

export interface Material {
  readonly bytes: Buffer;
  readonly digest: Digest;
}

export function blobOf(text: string | Buffer): Material {
  const bytes = Buffer.from(text as string);
  return { bytes, digest: digestOf(bytes) };
}

export function descriptorOf({ bytes, digest }: Material, mediaType: string) {
  return { mediaType, digest, size: bytes.length };
}

/** An image of this config and these layers; `more` are further fields. */
export function manifestOf(config: Material, layers: readonly Material[], more: Readonly<Record<string, unknown>> = {}): Material {
  return blobOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptorOf(config, mediaTypes.ociConfig),
      layers: layers.map((layer) => descriptorOf(layer, mediaTypes.ociLayerGzip)),
      ...more,
    }),
  );
}

export function indexOf(manifests: readonly Material[], more: Readonly<Record<string, unknown>> = {}): Material {
  const entries = manifests.map((manifest) => descriptorOf(manifest, mediaTypes.ociManifest));
  return blobOf(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries, ...more }));
}

export async function pushBlob(origin: string, repository: string, blob: Material): Promise<void> {
  const answer = await fetch(`${origin}/v2/${repository}/blobs/uploads/?digest=${blob.digest}`, {
    method: 'POST',
    body: new Uint8Array(blob.bytes),
  });
  assert.equal(answer.status, 201, await answer.text());
}

export async function putManifest(
  origin: string,
  repository: string,
  reference: string,
  manifest: Material,
  mediaType: string = mediaTypes.ociManifest,
): Promise<Response> {
  return await fetch(`${origin}/v2/${repository}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: new Uint8Array(manifest.bytes),
  });
}

/** An image that is wholly there; its manifest. */
export async function pushImage(origin: string, repository: string, tag: string, text = `${repository}:${tag}`): Promise<Material> {
  const [config, layer] = [blobOf(JSON.stringify({ of: text })), blobOf(`layer of ${text}`)];
  await Promise.all([pushBlob(origin, repository, config), pushBlob(origin, repository, layer)]);
  const manifest = manifestOf(config, [layer]);
  const answer = await putManifest(origin, repository, tag, manifest);
  assert.equal(answer.status, 201, await answer.text());
  return manifest;
}

/** The place of a new upload. */
export async function beginUpload(origin: string, repository: string): Promise<string> {
  const answer = await fetch(`${origin}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  assert.equal(answer.status, 202);
  return new URL(answer.headers.get('location') ?? '', origin).href;
}

export async function errorCodes(answer: Response): Promise<readonly string[]> {
  const { errors } = (await answer.json()) as { errors: readonly { code: string }[] };
  return errors.map(({ code }) => code);
}

/** A request whose path goes out as it is, `..` and all. */
export async function rawRequest(origin: string, method: string, path: string, headers: Readonly<Record<string, string>> = {}, body = '') {
  const { hostname, port } = new URL(origin);
  return await new Promise<{ readonly status: number; readonly headers: NodeJS.Dict<string | string[]>; readonly text: string }>(
    (resolve, reject) => {
      const request = httpRequest({ hostname, port, method, path, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    },
  );
}
