/**
 * `X-Registry-Auth`: who asks a registry, as base64url of JSON. `{}` (`e30=`), which the docker CLI always sends, is nobody. What it holds is a secret: it is in no message.
 */
import { EngineError, invalid } from '../base/errors.ts';
import type { RegistryCredentials } from '../images/transfers.ts';
import type { Exchange } from './exchange.ts';

const header = 'x-registry-auth';
const limitBytes = 64 * 1024;

export function registryCredentials(exchange: Exchange): RegistryCredentials | null {
  const text = exchange.request.headers[header];
  if (text === undefined || text === '') return null;
  if (typeof text !== 'string' || text.length > limitBytes) throw malformed();
  return credentialsOf(parse(text));
}

/** Of an AuthConfig; null: it names nobody. */
export function credentialsOf(config: object): RegistryCredentials | null {
  const { username, password, identitytoken, registrytoken } = config as Readonly<Record<string, unknown>>;
  for (const value of [username, password, identitytoken, registrytoken])
    if (value !== undefined && value !== null && typeof value !== 'string') throw malformed();
  if (typeof registrytoken === 'string' && registrytoken !== '') return { kind: 'registry-token', token: registrytoken };
  if (typeof identitytoken === 'string' && identitytoken !== '') return { kind: 'identity-token', token: identitytoken };
  if (typeof username !== 'string' || username === '') return null;
  return { kind: 'basic', username, password: typeof password === 'string' ? password : '' };
}

/**
 * What a registry refuses is not refused by us: at a 401 Docker's client asks for a login on its standard input and waits there, whether somebody sits there or not.
 * (dockerd answers 500.)
 */
export async function refusedElsewhere<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'unauthorized') throw error;
    throw new EngineError('forbidden', error.message, { cause: error });
  }
}

/** Padded or not, either alphabet: clients differ. */
function parse(text: string): object {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw malformed();
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, without its text.
  }
  throw malformed();
}

function malformed(): Error {
  return invalid('invalid X-Registry-Auth header: it must be base64url of a JSON object like {"username":"…","password":"…"}');
}
