/**
 * The contract between the HTTP side of the registry and whoever decides who may do what. `open-access.ts` lets everybody do everything; the others come from
 * the configuration file.
 */
export type RepositoryAction = 'pull' | 'push' | 'delete';

/** What a request needs. Catalogue: the list of repositories. */
export type AccessScope =
  | { readonly kind: 'repository'; readonly name: string; readonly actions: readonly RepositoryAction[] }
  | { readonly kind: 'catalogue' }
  /** `GET /v2/`: is anybody logged in? */
  | { readonly kind: 'base' };

export interface AccessRequest {
  /** `Authorization`, as it came. */
  readonly authorization: string | null;
  readonly address: string;
  /** The scheme and host the client used, for the realm of a challenge: `https://registry.example:5000`. */
  readonly origin: string;
  /** A browser asks (the web page): it knows `Basic` only, so that is what it is challenged for and may answer, also where clients are sent to a token service. */
  readonly isBrowser?: boolean;
  /** Asked for one entry of a list that was granted (the catalogue): what the user may see counts, not which scopes the token of this request was asked for. */
  readonly isListEntry?: boolean;
}

export type AccessDecision =
  | { readonly kind: 'granted'; readonly user: string | null }
  /** 401 with this `WWW-Authenticate`. */
  | { readonly kind: 'challenge'; readonly challenge: string; readonly message: string }
  /** 403: known, but not allowed. */
  | { readonly kind: 'denied'; readonly message: string };

export interface AccessControl {
  /** Cheap when asked again with the same credentials: a page of the catalogue asks once for each repository. */
  decide(request: AccessRequest, scope: AccessScope): Promise<AccessDecision>;
}

export const openAccess: AccessControl = {
  decide: async () => ({ kind: 'granted', user: null }),
};
