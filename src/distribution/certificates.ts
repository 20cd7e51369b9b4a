/**
 * `certs.d`: what an administrator trusts and presents at one registry, in Docker's layout.
 *
 *     /etc/docker/certs.d/registry.example.com:5000/
 *         ca.crt                       authorities, besides those of the system
 *         client.cert, client.key      who this machine is
 *
 * The first directory that has the host counts; others are not mixed in. A pair that is half there is an error: whoever put it there meant it.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';

export interface HostCertificates {
  readonly directory: string;
  readonly authorities: readonly string[];
  readonly pairs: readonly { readonly cert: string; readonly key: string }[];
}

/** `host`: as in the reference, with the port where it names one. Null when no directory has it. */
export async function hostCertificates(directories: readonly string[], host: string): Promise<HostCertificates | null> {
  if (!/^[\w.:[\]-]+$/.test(host) || /^\.+$/.test(host)) return null;
  for (const parent of directories) {
    const directory = join(parent, host);
    const names = await namesIn(directory);
    if (names) return await read(directory, names.sort());
  }
  return null;
}

/** `null`: what the system trusts. Loading all of it takes some 20 ms, so it is done once. */
export function secureContext(certificates: HostCertificates | null): SecureContext {
  if (certificates === null) {
    systemContext ??= createSecureContext({ ca: [...systemAuthorities()] });
    return systemContext;
  }
  const { authorities, pairs, directory } = certificates;
  try {
    return createSecureContext({
      ca: [...systemAuthorities(), ...authorities],
      cert: pairs.map(({ cert }) => cert),
      key: pairs.map(({ key }) => key),
    });
  } catch (cause) {
    throw new EngineError('system', `the certificates in ${directory} cannot be used: ${errorText(cause)}`, { cause });
  }
}

let systemContext: SecureContext | undefined;
let authoritiesOfSystem: readonly string[] | undefined;

function systemAuthorities(): readonly string[] {
  authoritiesOfSystem ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  return authoritiesOfSystem;
}

async function namesIn(directory: string): Promise<string[] | null> {
  try {
    return await readdir(directory);
  } catch (thrown) {
    if (hasErrnoCode(thrown, 'ENOENT', 'ENOTDIR')) return null;
    throw new EngineError('system', `cannot read the certificates in ${directory}: ${errorText(thrown)}`, { cause: thrown });
  }
}

async function read(directory: string, names: readonly string[]): Promise<HostCertificates> {
  const load = async (name: string): Promise<string> => {
    try {
      return await readFile(join(directory, name), 'utf8');
    } catch (cause) {
      throw new EngineError('system', `cannot read ${join(directory, name)}: ${errorText(cause)}`, { cause });
    }
  };
  const withEnding = (ending: string) => names.filter((name) => name.endsWith(ending));
  const pairs: { cert: string; key: string }[] = [];
  for (const name of withEnding('.cert')) {
    const key = `${name.slice(0, -'.cert'.length)}.key`;
    if (!names.includes(key))
      throw new EngineError(
        'system',
        `missing key ${key} for client certificate ${name} in ${directory}. CA certificates must use the extension .crt`,
      );
    pairs.push({ cert: await load(name), key: await load(key) });
  }
  for (const name of withEnding('.key')) {
    const cert = `${name.slice(0, -'.key'.length)}.cert`;
    if (!names.includes(cert)) throw new EngineError('system', `missing client certificate ${cert} for key ${name} in ${directory}`);
  }
  return { directory, authorities: await Promise.all(withEnding('.crt').map(load)), pairs };
}
