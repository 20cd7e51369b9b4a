import type { RegistryCredentials } from './types.ts';

/** The value of `X-Registry-Auth`. Docker's client always sends one; empty credentials are nobody's. */
export function encodeCredentials(credentials: RegistryCredentials): string {
  return Buffer.from(JSON.stringify(credentials)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}
