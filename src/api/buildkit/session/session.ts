/**
 * A client's session: the connection over which the daemon asks the client of a build for files, secrets and credentials. It is there as long as the connection is; a build may name it
 * before it has come, so whoever looks for one waits for a while.
 *
 *     POST /session ─▶ 101 ─▶ the daemon speaks first: it is the gRPC client here
 */
import type { Duplex } from 'node:stream';
import { conflict, EngineError, errorText } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { createGrpcClient, type GrpcClient } from '../grpc/client.ts';
import { HealthCheckRequest, HealthCheckResponse } from '../messages/session.ts';

export interface Session {
  readonly id: string;
  /** Equal for equal folders of one client; empty: it has none. */
  readonly sharedKey: string;
  readonly client: GrpcClient;
  /** Whether the client serves `/package.Service/Method`. */
  supports(method: string): boolean;
}

export interface SessionAnnouncement {
  readonly id: string;
  readonly sharedKey: string;
  readonly methods: readonly string[];
}

export interface Sessions {
  /** Before the connection is taken over: `conflict` when a session of that id is open. */
  requireNew(id: string): void;
  /** Resolves when the session has ended. */
  serve(connection: Duplex, announced: SessionAnnouncement): Promise<void>;
  /** Waits for one that is announced but not there yet. */
  find(id: string, signal: AbortSignal): Promise<Session>;
}

const healthMethod = '/grpc.health.v1.Health/Check';
const healthIntervalMs = 10_000;
const healthTimeoutMs = 30_000;
const waitMs = 10_000;

export function createSessions(logger: Logger): Sessions {
  const open = new Map<string, Session>();
  const waiting = new Map<string, Set<(session: Session) => void>>();
  return {
    requireNew(id) {
      if (open.has(id)) throw conflict(`session ${id} already exists`);
    },
    async serve(connection, announced) {
      this.requireNew(announced.id);
      const session = createSession(connection, announced);
      open.set(announced.id, session);
      for (const found of waiting.get(announced.id) ?? []) found(session);
      const stopWatching = watchHealth(session, logger);
      await closed(session.client);
      stopWatching();
      open.delete(announced.id);
    },
    find(id, signal) {
      const session = open.get(id);
      if (session !== undefined) return Promise.resolve(session);
      return new Promise((resolve, reject) => {
        const waiters = waiting.get(id) ?? new Set();
        waiting.set(id, waiters);
        const settle = (finish: () => void) => {
          clearTimeout(timer);
          signal.removeEventListener('abort', aborted);
          waiters.delete(found);
          if (waiters.size === 0) waiting.delete(id);
          finish();
        };
        const found = (session: Session) => settle(() => resolve(session));
        const aborted = () => settle(() => reject(signal.reason));
        const timer = setTimeout(() => settle(() => reject(noSession(id))), waitMs);
        waiters.add(found);
        signal.addEventListener('abort', aborted, { once: true });
        if (signal.aborted) aborted();
      });
    },
  };
}

function noSession(id: string): EngineError {
  return new EngineError(
    'unavailable',
    `no active session for ${JSON.stringify(id.slice(0, 64))}: the client has not opened it, or has gone`,
  );
}

function createSession(connection: Duplex, { id, sharedKey, methods }: SessionAnnouncement): Session {
  // Clients differ in the case of a method's first letter.
  const known = new Set(methods.map((method) => method.toLowerCase()));
  return { id, sharedKey, client: createGrpcClient(connection), supports: (method) => known.has(method.toLowerCase()) };
}

function closed(client: GrpcClient): Promise<void> {
  return new Promise((resolve) => {
    if (client.closed.aborted) resolve();
    else client.closed.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** A client that vanished without closing its connection (a machine that was switched off) must not hold its builds for ever. */
function watchHealth(session: Session, logger: Logger): () => void {
  if (!session.supports(healthMethod)) return () => {};
  const check = async () => {
    try {
      const signal = AbortSignal.timeout(healthTimeoutMs);
      await session.client.unary(healthMethod, { type: HealthCheckRequest, value: {} }, HealthCheckResponse, { signal });
      timer.refresh();
    } catch (error) {
      if (session.client.closed.aborted) return;
      logger.info({ session: session.id, error: errorText(error) }, 'a build client does not answer: its session is closed');
      session.client.close();
    }
  };
  const timer = setTimeout(() => void check(), healthIntervalMs);
  timer.unref();
  return () => clearTimeout(timer);
}
