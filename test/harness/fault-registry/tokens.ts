/** Who may do what at a registry of the tests: nobody is asked, passwords, or bearer tokens with scopes that wear out. */
import { randomUUID } from 'node:crypto';

export interface RegistryAuth {
  readonly scheme: 'basic' | 'bearer';
  readonly users: Readonly<Record<string, string>>;
  readonly anonymousPull?: boolean;
  /** Where the challenge sends for tokens, instead of here. */
  readonly realm?: string;
  /** A token is good for so many requests: it expires in the middle of a pull. */
  readonly tokenUses?: number;
  readonly expiresInSeconds?: number;
  /** A client that asks with offline_token gets a refresh token. */
  readonly refreshTokens?: boolean;
}

export interface Challenge {
  readonly status: 401 | 403;
  readonly header: string | null;
}

interface Token {
  readonly scopes: readonly string[];
  uses: number;
}

export class Gatekeeper {
  readonly #auth: RegistryAuth | null;
  readonly #tokens = new Map<string, Token>();
  readonly #refreshTokens = new Map<string, string>();

  constructor(auth: RegistryAuth | null) {
    this.#auth = auth;
  }

  /** Null: let in. `action`: pull, push or delete of a repository, or null for what only needs somebody. */
  refuse(authorization: string, origin: string, repository: string | null, action: string | null): Challenge | null {
    const auth = this.#auth;
    if (auth === null) return null;
    if (auth.scheme === 'basic') {
      if ((auth.anonymousPull && action === 'pull') || this.#userOf(authorization) !== null) return null;
      return { status: 401, header: 'Basic realm="test"' };
    }
    const scope = repository === null || action === null ? null : `repository:${repository}:${action === 'push' ? 'pull,push' : action}`;
    return this.#isGoodToken(authorization, repository, action) ? null : { status: 401, header: this.#challenge(auth, origin, scope) };
  }

  #challenge(auth: RegistryAuth, origin: string, scope: string | null): string {
    return `Bearer realm="${auth.realm ?? `${origin}/token`}",service="test"${scope === null ? '' : `,scope="${scope}"`}`;
  }

  #isGoodToken(authorization: string, repository: string | null, action: string | null): boolean {
    const token = this.#tokens.get(/^Bearer (.+)$/i.exec(authorization)?.[1] ?? '');
    if (token === undefined || token.uses <= 0) return false;
    if (repository !== null && action !== null && !token.scopes.includes(`${repository}:${action}`)) return false;
    token.uses--;
    return true;
  }

  /** The answer of the token endpoint, null for 401. `form`: of a POST (OAuth 2). */
  issue(authorization: string, query: URLSearchParams, form: URLSearchParams | null): object | null {
    const auth = this.#auth;
    if (auth === null) return { token: 'anything' };
    const user = form === null ? this.#userOf(authorization) : this.#userOfForm(form);
    if (user === null && (authorization !== '' || form !== null || auth.anonymousPull !== true)) return null;
    const scopes = (form ?? query).getAll('scope').flatMap((text) => text.split(' ').flatMap((one) => scopesOf(one, user !== null)));
    const token = randomUUID();
    this.#tokens.set(token, { scopes, uses: auth.tokenUses ?? Number.POSITIVE_INFINITY });
    const wantsRefresh = query.get('offline_token') === 'true' || form?.get('access_type') === 'offline';
    const refresh = auth.refreshTokens && wantsRefresh && user !== null ? { refresh_token: this.#refreshToken(user) } : {};
    return { token, access_token: token, expires_in: auth.expiresInSeconds ?? 300, ...refresh };
  }

  #refreshToken(user: string): string {
    const token = `refresh-${randomUUID()}`;
    this.#refreshTokens.set(token, user);
    return token;
  }

  #userOfForm(form: URLSearchParams): string | null {
    if (form.get('grant_type') === 'refresh_token') return this.#refreshTokens.get(form.get('refresh_token') ?? '') ?? null;
    const [name, password] = [form.get('username') ?? '', form.get('password') ?? ''];
    return name !== '' && this.#auth?.users[name] === password ? name : null;
  }

  #userOf(authorization: string): string | null {
    const encoded = /^Basic (.+)$/i.exec(authorization)?.[1];
    if (encoded === undefined) return null;
    const [name = '', ...password] = Buffer.from(encoded, 'base64').toString().split(':');
    return name !== '' && this.#auth?.users[name] === password.join(':') ? name : null;
  }
}

/** `repository:a/b:pull,push` as `a/b:pull` and `a/b:push`; nobody in particular only pulls. */
function scopesOf(text: string, isKnown: boolean): readonly string[] {
  const [, name, actions] = /^repository:(.+):([a-z,*]*)$/.exec(text) ?? [];
  const asked = (actions ?? '').split(',').flatMap((action) => (action === '*' ? ['pull', 'push', 'delete'] : [action]));
  return asked.filter((action) => isKnown || action === 'pull').map((action) => `${name}:${action}`);
}
