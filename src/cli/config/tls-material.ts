/**
 * What a TCP connection to the daemon is secured with, by Docker's rules: the flags, then DOCKER_TLS_VERIFY and DOCKER_CERT_PATH; for a daemon of a context the files that
 * are stored with it. Read only for TCP addresses.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, hasErrnoCode } from '../../base/errors.ts';
import type { TlsMaterial } from '../../client/address.ts';
import { CliError } from '../cli-error.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { type AddressChoice, contextInUse } from './daemon-address.ts';

/** Null: plain TCP. */
export async function chooseTls(choice: AddressChoice, flags: FlagValues): Promise<TlsMaterial | null> {
  const context = contextInUse(choice);
  if (context !== null && !wantsTls(choice, flags)) return await contextMaterial(choice, context);
  if (!wantsTls(choice, flags)) return null;
  const { env, config } = choice;
  const directory = env.DOCKER_CERT_PATH || config.directory;
  // A file that was named must be there; one of the defaults may be missing.
  const pem = (flag: string, name: string) =>
    flags.string(flag) === '' ? readIfThere(join(directory, name)) : readNamed(flags.string(flag), flag);
  return {
    authority: pem('tlscacert', 'ca.pem'),
    certificate: pem('tlscert', 'cert.pem'),
    key: pem('tlskey', 'key.pem'),
    verify: verifies(choice, flags),
  };
}

function wantsTls(choice: AddressChoice, flags: FlagValues): boolean {
  return flags.bool('tls') || verifies(choice, flags);
}

function verifies({ env }: AddressChoice, flags: FlagValues): boolean {
  return flags.has('tlsverify') ? flags.bool('tlsverify') : (env.DOCKER_TLS_VERIFY ?? '') !== '';
}

async function contextMaterial({ config }: AddressChoice, name: string): Promise<TlsMaterial | null> {
  const { contextTlsDirectory, readContext } = await import('./contexts.ts');
  const directory = contextTlsDirectory(config.directory, name);
  const [authority, certificate, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((file) => readIfThere(join(directory, file)));
  const verify = !readContext(config.directory, name).skipTlsVerify;
  if (!authority && !certificate && !key && verify) return null;
  return { authority: authority ?? null, certificate: certificate ?? null, key: key ?? null, verify };
}

function readNamed(path: string, flag: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CliError(`cannot read the file of --${flag}: ${errorText(cause)}`, 125, { cause });
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}
