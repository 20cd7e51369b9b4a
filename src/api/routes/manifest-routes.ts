/** Beyond Docker: manifests of registries, for `gantry manifest` (docs/images.md). Docker's client asks registries itself; ours leaves that to the daemon, which knows mirrors and certificates. */
import Type from 'typebox';
import { invalid } from '../../base/errors.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import { decoderOf } from '../../wire/decode.ts';
import type { Exchange } from '../exchange.ts';
import { registryCredentials } from '../registry-auth.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

const putRequest = decoderOf(Type.Object({ MediaType: Type.String(), Raw: Type.String() }));

export function manifestRoutes({ manifests }: ApiServices): readonly Route[] {
  return [
    {
      method: 'GET',
      pattern: '/distribution/{name:*}/manifest',
      body: 'any',
      async handle(exchange) {
        const { descriptor, bytes, platforms } = await manifests.get(nameOf(exchange), registryCredentials(exchange), exchange.signal);
        exchange.sendJson(200, { Descriptor: descriptorJson(descriptor), Raw: bytes.toString('base64'), Platforms: platforms });
      },
    },
    {
      method: 'PUT',
      pattern: '/distribution/{name:*}/manifest',
      body: 'json',
      async handle(exchange) {
        const { MediaType, Raw } = putRequest(await exchange.json());
        const document = { mediaType: MediaType, bytes: Buffer.from(Raw, 'base64') };
        const put = await manifests.put(nameOf(exchange), document, registryCredentials(exchange), exchange.signal);
        exchange.sendJson(201, descriptorJson(put));
      },
    },
    {
      method: 'POST',
      pattern: '/distribution/{name:*}/bring',
      body: 'any',
      async handle(exchange) {
        const source = exchange.text('from') ?? '';
        if (source === '') throw invalid('from is missing: the image to bring, by its digest');
        const brought = await manifests.bring(source, nameOf(exchange), registryCredentials(exchange), exchange.signal);
        exchange.sendJson(201, descriptorJson(brought));
      },
    },
  ];
}

function nameOf(exchange: Exchange): string {
  return exchange.parameter('name');
}

function descriptorJson({ mediaType, digest, size }: Descriptor): object {
  return { mediaType, digest, size };
}
