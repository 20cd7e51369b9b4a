/**
 * What a registry of the tests can do wrong, as data. Positions in bytes count from the start of the answer's body, not of the blob: a resumed download meets a
 * fault of its own.
 *
 *     plan:  rule, rule, …   the first one that fits the request and is not used up decides
 *     rule:  on (which requests), skip (so many are let through first), times (so many meet it), fault
 */
export type Fault =
  /** Right headers, so many bytes, then the end of the connection: `end` after all bytes have gone out, `reset` at once. */
  | { readonly kind: 'truncate'; readonly atByte: number; readonly how?: 'end' | 'reset' }
  /** So many bytes, then silence on an open connection. */
  | { readonly kind: 'stall'; readonly atByte: number }
  | { readonly kind: 'flip'; readonly atByte: number }
  /** Content-Length is wrong by so much; the body is honest. */
  | { readonly kind: 'length'; readonly delta: number }
  /** No Content-Length. */
  | { readonly kind: 'chunked' }
  /** In pieces, with a pause after each. */
  | { readonly kind: 'drip'; readonly pieceBytes: number; readonly everyMs: number }
  /** Of an answer to a range; null: none. The body is what was asked for. */
  | { readonly kind: 'content-range'; readonly value: string | null }
  /** Another part than was asked for, which its Content-Range admits. */
  | { readonly kind: 'shift-range'; readonly byBytes: number }
  /** 200 with the whole to who asks for a part. */
  | { readonly kind: 'ignore-range' }
  /** Changed headers of an otherwise right answer; null removes one. */
  | { readonly kind: 'headers'; readonly set: Readonly<Record<string, string | null>> }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** A string is sent as it is; else the specification's errors with this code. */
      readonly body?: string | { readonly code: string; readonly message: string };
    }
  /** A text is a whole URL; a function is given the path with its query. */
  | { readonly kind: 'redirect'; readonly location: string | ((path: string) => string); readonly status?: number }
  /** A body of filler instead of the right one; Infinity never ends. Announced: with Content-Length, where there can be one. */
  | { readonly kind: 'filler'; readonly bytes: number; readonly announced: boolean }
  /** Other bytes instead of the right ones, with the right Docker-Content-Digest. */
  | { readonly kind: 'body'; readonly bytes: Buffer }
  /** The connection is reset instead of an answer. */
  | { readonly kind: 'reset' }
  /** Taken, never answered. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'late'; readonly byMs: number }
  /** Of an upload's bytes so many are taken (and kept), then this happens. */
  | { readonly kind: 'break-upload'; readonly afterBytes: number; readonly how: 'reset' | number }
  /** Only so many bytes of this PATCH are kept, and its answer says so. */
  | { readonly kind: 'lose-upload-bytes'; readonly keepBytes: number }
  /** A mount becomes an upload. */
  | { readonly kind: 'refuse-mount' };

export type RequestKind = 'base' | 'token' | 'manifest' | 'blob' | 'upload' | 'tags' | 'referrers' | 'catalogue' | 'search' | 'other';

export interface RequestPattern {
  readonly method?: string;
  readonly kind?: RequestKind;
  readonly path?: RegExp;
  /** With a Range header, or without. */
  readonly ranged?: boolean;
}

export interface FaultRule {
  readonly on: RequestPattern;
  readonly fault: Fault;
  readonly skip?: number;
  /** 1 unless told. */
  readonly times?: number;
}

/** How often a rule was met so far. */
export interface PlannedFault {
  readonly met: number;
  readonly isUsedUp: boolean;
}

export interface MatchedRequest {
  readonly method: string;
  readonly kind: RequestKind;
  readonly path: string;
  readonly ranged: boolean;
}

export class FaultPlan {
  #rules: PlannedRule[] = [];

  add(rule: FaultRule): PlannedFault {
    const planned = new PlannedRule(rule);
    this.#rules.push(planned);
    return planned;
  }

  clear(): void {
    this.#rules = [];
  }

  /** Counts as met. */
  take(request: MatchedRequest): Fault | null {
    return this.#rules.find((rule) => rule.takes(request))?.fault ?? null;
  }
}

class PlannedRule implements PlannedFault {
  readonly #rule: FaultRule;
  #seen = 0;

  constructor(rule: FaultRule) {
    this.#rule = rule;
  }

  get fault(): Fault {
    return this.#rule.fault;
  }

  get met(): number {
    return Math.max(0, this.#seen - (this.#rule.skip ?? 0));
  }

  get isUsedUp(): boolean {
    return this.met >= (this.#rule.times ?? 1);
  }

  takes(request: MatchedRequest): boolean {
    if (this.isUsedUp || !fits(this.#rule.on, request)) return false;
    this.#seen++;
    return this.#seen > (this.#rule.skip ?? 0);
  }
}

function fits({ method, kind, path, ranged }: RequestPattern, request: MatchedRequest): boolean {
  return (
    (method === undefined || method === request.method) &&
    (kind === undefined || kind === request.kind) &&
    (path === undefined || path.test(request.path)) &&
    (ranged === undefined || ranged === request.ranged)
  );
}
