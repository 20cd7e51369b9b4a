/**
 * Programs that keep secrets for us: `docker-credential-NAME VERB`, the protocol of docker-credential-helpers.
 *
 *     get    ← host                                    → {"ServerURL", "Username", "Secret"}
 *     store  ← {"ServerURL", "Username", "Secret"}
 *     erase  ← host
 *     list                                             → {host: username}
 *
 * Requests go in by standard input and never by the command line, which everybody on the machine can read. A helper complains on its standard output; what we
 * repeat of that never holds the secret. A helper may ask its person (a key ring that is locked), so it is not hurried.
 */
import { spawn } from 'node:child_process';
import { EngineError, errorText, hasErrnoCode } from '../../base/errors.ts';

export interface StoredSecret {
  readonly username: string;
  readonly secret: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The user name that marks the secret as an identity token. */
export const TOKEN_USER = '<token>';

const NOT_FOUND = 'credentials not found in native keychain';
const MAX_ANSWER_BYTES = 1024 * 1024;

export class CredentialHelper {
  /** `docker-credential-…` */
  readonly program: string;
  readonly #env: Environment;

  constructor(name: string, env: Environment) {
    if (!/^[\w.-]+$/.test(name)) throw new EngineError('invalid', `the credential helper ${JSON.stringify(name)} has no valid name`);
    this.program = `docker-credential-${name}`;
    this.#env = env;
  }

  /** Null: it knows nothing of that server. */
  async get(server: string): Promise<StoredSecret | null> {
    const { status, output } = await this.#run('get', server);
    if (status !== 0) {
      if (output.trim() === NOT_FOUND) return null;
      throw this.#failure(`find the credentials of ${server}`, status, output);
    }
    const { Username, Secret } = this.#parse(output);
    if (typeof Username !== 'string' || typeof Secret !== 'string') throw this.#failure(`find the credentials of ${server}`, 0, '');
    return { username: Username, secret: Secret };
  }

  async store(server: string, { username, secret }: StoredSecret): Promise<void> {
    const { status, output } = await this.#run('store', JSON.stringify({ ServerURL: server, Username: username, Secret: secret }));
    if (status !== 0) throw this.#failure(`store the credentials of ${server}`, status, hide(output, secret));
  }

  /** False: there was nothing. */
  async erase(server: string): Promise<boolean> {
    const { status, output } = await this.#run('erase', server);
    if (status === 0) return true;
    if (output.trim() === NOT_FOUND) return false;
    throw this.#failure(`erase the credentials of ${server}`, status, output);
  }

  /** Server → user name. */
  async list(): Promise<ReadonlyMap<string, string>> {
    const { status, output } = await this.#run('list', '');
    if (status !== 0) throw this.#failure('list its credentials', status, output);
    return new Map(Object.entries(this.#parse(output)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  }

  #parse(output: string): Record<string, unknown> {
    try {
      const value: unknown = JSON.parse(output);
      if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
    } catch {
      // Without the parser's words: they quote what was there.
    }
    throw new EngineError('unavailable', `the credential helper ${this.program} answered something that is not JSON`);
  }

  #failure(what: string, status: number, output: string): EngineError {
    const words = output.trim().slice(0, 500);
    const how = status === 0 ? 'its answer has no user name or no secret' : `it ended with ${status}`;
    return new EngineError('unavailable', `the credential helper ${this.program} could not ${what}: ${words === '' ? how : words}`);
  }

  #run(verb: string, input: string): Promise<{ readonly status: number; readonly output: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; output: string }>();
    const child = spawn(this.program, [verb], { env: { ...this.#env }, stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.length > MAX_ANSWER_BYTES) child.kill();
    });
    // A helper may end without having read.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', (error) => reject(this.#cannotStart(error)));
    child.on('close', (code) => resolve({ status: code ?? 137, output }));
    return promise;
  }

  #cannotStart(error: Error): EngineError {
    const why = hasErrnoCode(error, 'ENOENT') ? 'it is not in the PATH' : errorText(error);
    return new EngineError(
      'unavailable',
      `cannot run the credential helper ${this.program}: ${why}. Install it, or take it out of credsStore or credHelpers of the configuration`,
    );
  }
}

function hide(text: string, secret: string): string {
  return secret === '' ? text : text.replaceAll(secret, '<secret>');
}
