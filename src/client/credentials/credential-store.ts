/**
 * What to show a registry, and where it is kept: a credential helper where the configuration names one for that registry or for all, else the file itself.
 * A registry has one place: what the file holds beside a helper is not looked at. DOCKER_AUTH_CONFIG (`{"auths": …}`, as CI systems set it) comes before both and
 * is never written to.
 */
import { EngineError } from '../../base/errors.ts';
import type { RegistryCredentials } from '../types.ts';
import { CredentialHelper, type Environment, TOKEN_USER } from './credential-helper.ts';
import type { AuthEntry, DockerConfig } from './docker-config.ts';
import { HUB_KEY, registryHost, registryKey } from './registry-key.ts';

/** What is stored of a login: a password, or the token that the registry gave for it. */
export type Login = { readonly username: string } & ({ readonly password: string } | { readonly identityToken: string });

export type StoreOutcome = 'stored' | 'unchanged' | 'in-the-clear';

export class CredentialStore {
  readonly #config: DockerConfig;
  readonly #env: Environment;

  /** `env`: the helpers' environment; PATH finds them. */
  constructor(config: DockerConfig, env: Environment) {
    this.#config = config;
    this.#env = env;
  }

  /** Empty: nothing is known, ask as anybody. `server`: a domain or an address. Throws where a helper or an entry is broken. */
  async get(server: string): Promise<RegistryCredentials> {
    const key = registryKey(server);
    const given = this.#fromEnvironment(key);
    if (given !== null) return given;
    const helper = this.#helperOf(key);
    if (helper === null) return fromEntry(findEntry(this.#config.file.auths ?? {}, key), key, this.#config.path);
    const found = await helper.get(key);
    if (found === null) return {};
    const { username, secret } = found;
    return username === TOKEN_USER ? { identitytoken: secret, serveraddress: key } : { username, password: secret, serveraddress: key };
  }

  /** Of every registry that something is known of: by key. */
  async all(): Promise<ReadonlyMap<string, RegistryCredentials>> {
    const { auths = {}, credHelpers = {}, credsStore = '' } = this.#config.file;
    const listed = credsStore === '' ? [] : [...(await new CredentialHelper(credsStore, this.#env).list()).keys()];
    const keys = new Set([...listed, ...Object.keys(auths), ...Object.keys(credHelpers)].map(registryKey));
    const known = new Map<string, RegistryCredentials>();
    for (const key of keys) {
      const credentials = await this.get(key);
      if (Object.keys(credentials).length > 0) known.set(key, credentials);
    }
    return known;
  }

  async store(server: string, login: Login): Promise<StoreOutcome> {
    const key = registryKey(server);
    const helper = this.#helperOf(key);
    if (helper !== null) {
      await helper.store(
        key,
        'password' in login ? { username: login.username, secret: login.password } : { username: TOKEN_USER, secret: login.identityToken },
      );
      // An empty entry: clients that only look at the file see that there is a login.
      if (!isSame(this.#config.file.auths?.[key], {})) this.#write(key, {});
      return 'stored';
    }
    const entry = toEntry(login);
    if (isSame(this.#config.file.auths?.[key], entry)) return 'unchanged';
    this.#write(key, entry);
    return 'in-the-clear';
  }

  /** In all of its spellings. The file first: a helper that fails must not keep what we can take away. */
  async erase(server: string): Promise<void> {
    const key = registryKey(server);
    const spellings = Object.keys(this.#config.file.auths ?? {}).filter((name) => registryKey(name) === key);
    if (spellings.length > 0) {
      this.#config.update((file) => {
        for (const name of spellings) delete file.auths?.[name];
      });
    }
    const helper = this.#helperOf(key);
    for (const name of helper === null ? [] : [key, ...spellings.filter((spelling) => spelling !== key)]) await helper?.erase(name);
  }

  #write(key: string, entry: AuthEntry): void {
    this.#config.update((file) => {
      file.auths = { ...file.auths, [key]: entry };
    });
  }

  #helperOf(key: string): CredentialHelper | null {
    const { credHelpers = {}, credsStore = '' } = this.#config.file;
    const own = Object.keys(credHelpers).find((name) => registryKey(name) === key);
    const name = (own === undefined ? undefined : credHelpers[own]) || credsStore;
    return name === '' ? null : new CredentialHelper(name, this.#env);
  }

  #fromEnvironment(key: string): RegistryCredentials | null {
    const text = this.#env.DOCKER_AUTH_CONFIG ?? '';
    if (text === '') return null;
    const broken = (): EngineError =>
      new EngineError('invalid', 'DOCKER_AUTH_CONFIG is not of the form {"auths": {"HOST": {"auth": "…"}}}');
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      throw broken();
    }
    const auths = (parsed as { auths?: unknown } | null)?.auths;
    if (typeof auths !== 'object' || auths === null) throw broken();
    const entry = findEntry(auths as Record<string, AuthEntry>, key);
    return entry === undefined ? null : fromEntry(entry, key, 'DOCKER_AUTH_CONFIG');
  }
}

/** Exactly by the key, else by any spelling of the same registry: with a scheme, with the path of its API. */
function findEntry(auths: Readonly<Record<string, AuthEntry>>, key: string): AuthEntry | undefined {
  if (Object.hasOwn(auths, key)) return auths[key];
  const spelling = Object.keys(auths).find((name) => registryKey(name) === key);
  return spelling === undefined ? undefined : auths[spelling];
}

function fromEntry(entry: AuthEntry | undefined, key: string, where: string): RegistryCredentials {
  if (typeof entry !== 'object' || entry === null) return {};
  const [username, password] = entry.auth ? decodeAuth(entry.auth, key, where) : [entry.username, entry.password];
  const { identitytoken, registrytoken } = entry;
  if (!username && !identitytoken && !registrytoken) return {};
  return {
    ...(username ? { username, ...(identitytoken ? {} : { password: password ?? '' }) } : {}),
    ...(identitytoken ? { identitytoken } : {}),
    ...(registrytoken ? { registrytoken } : {}),
    serveraddress: key,
  };
}

function decodeAuth(auth: string, key: string, where: string): readonly [string, string] {
  const name = key === HUB_KEY ? key : registryHost(key);
  const text = Buffer.from(String(auth), 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon <= 0) {
    throw new EngineError(
      'invalid',
      `the entry of ${name} in ${where} is broken: auth is not base64 of USER:PASSWORD. \`gantry login\` writes it anew`,
    );
  }
  return [text.slice(0, colon), text.slice(colon + 1)];
}

function toEntry(login: Login): AuthEntry {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  return 'password' in login
    ? { auth: encode(`${login.username}:${login.password}`) }
    : { auth: encode(`${login.username}:`), identitytoken: login.identityToken };
}

function isSame(a: AuthEntry | undefined, b: AuthEntry): boolean {
  return a !== undefined && a.auth === b.auth && a.identitytoken === b.identitytoken && Object.keys(a).length === Object.keys(b).length;
}
