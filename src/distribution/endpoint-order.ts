/**
 * Reading from the first place that answers: mirrors in their order, the registry last. A place that failed stands back for a while, so that a mirror that is down
 * is not waited for with every layer; when all have failed, all are asked.
 */

import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isNobodyThere } from './connection-failure.ts';
import type { EndpointSession } from './endpoint-session.ts';
import { isRetryable, withRetries } from './pause.ts';
import { RegistryError } from './registry-error.ts';

const standBackMs = 30_000;
export interface EndpointOrder {
  /** What failed last comes last. */
  sorted(sessions: readonly EndpointSession[]): readonly EndpointSession[];
  failed(session: EndpointSession): void;
  answered(session: EndpointSession): void;
}

/** One for all repositories of a client: a mirror that is down is so for all. */
export function createEndpointOrder(now: () => number = () => performance.now()): EndpointOrder {
  const until = new Map<string, number>();
  const keyOf = ({ endpoint }: EndpointSession): string => `${endpoint.scheme} ${endpoint.host}${endpoint.pathPrefix}`;
  const rank = (session: EndpointSession): number => {
    const end = until.get(keyOf(session)) ?? 0;
    return end > now() ? end : 0;
  };
  return {
    sorted: (sessions) => (sessions.length < 2 ? sessions : [...sessions].sort((one, other) => rank(one) - rank(other))),
    failed: (session) => void until.set(keyOf(session), now() + standBackMs),
    answered: (session) => void until.delete(keyOf(session)),
  };
}

export interface Reading {
  readonly sessions: readonly EndpointSession[];
  readonly order: EndpointOrder;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
  /** Rounds before it is an error: several for what is small, one where somebody else tries again. */
  readonly attempts: number;
}

/** The registry's own answer is the error when nobody has it: a mirror's 404 says nothing. */
export async function readAnywhere<T>(reading: Reading, ask: (session: EndpointSession) => Promise<T>): Promise<T> {
  return await withRetries(reading.attempts, reading.signal, async () => {
    let own: unknown = null;
    for (const session of reading.order.sorted(reading.sessions)) {
      try {
        return await ask(session);
      } catch (thrown) {
        if (reading.signal?.aborted) throw reading.signal.reason;
        if (isDown(thrown)) reading.order.failed(session);
        const isRegistry = session.endpoint.registryOf !== null;
        if (isRegistry) own = thrown;
        else reading.logger.info({ mirror: session.endpoint.host, reason: errorText(thrown) }, 'mirror passed over');
      }
    }
    throw isNobodyThere(own) ? final(own) : own;
  });
}

/** Worth asking somebody else first next time. */
function isDown(thrown: unknown): boolean {
  return thrown instanceof RegistryError && (thrown.failure.status === null || isRetryable(thrown));
}

function final(thrown: unknown): unknown {
  if (!(thrown instanceof RegistryError)) return thrown;
  return new RegistryError(thrown.code, thrown.message, { ...thrown.failure, retryable: false }, { cause: thrown });
}
