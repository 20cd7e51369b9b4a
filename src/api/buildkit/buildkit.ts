/**
 * BuildKit's protocol as the docker CLI's buildx speaks it: what its two connections share. The routes take them over (routes/buildkit-routes.ts).
 *
 *     /session ─▶ sessions: the client's files, secrets, credentials        (we ask)
 *     /grpc    ─▶ Control, LLBBridge: builds, their progress, the cache     (we answer)
 */
import type { Duplex } from 'node:stream';
import type { Logger } from '../../base/log.ts';
import type { Builder } from '../../build/builder.ts';
import type { Exchange } from '../exchange.ts';
import { type GrpcMethods, serveGrpc, unary } from './grpc/server.ts';
import { HealthCheckRequest, HealthCheckResponse } from './messages/session.ts';
import { createSessions, type SessionAnnouncement } from './session/session.ts';
import { bridgeMethods } from './solve/bridge-service.ts';
import { controlMethods } from './solve/control-service.ts';
import { Jobs } from './solve/jobs.ts';
import type { WorkerDevice, WorkerFacts } from './solve/worker.ts';
import { createUploads } from './version2/uploads.ts';
import { buildVersion2 } from './version2/version2-build.ts';

export interface BuildKitOptions {
  readonly builder: Builder;
  readonly worker: () => WorkerFacts;
  /** Never rejects, and keeps nobody waiting long. */
  readonly devices: () => Promise<readonly WorkerDevice[]>;
  readonly dataRoot: string;
  /** Output that waits for a client lies here. */
  readonly scratchDirectory: string;
  /** The cache was pruned over this protocol. */
  readonly pruned: (reclaimedBytes: number) => void;
  readonly logger: Logger;
}

export interface BuildKit {
  /** Before `serveSession`: `conflict` when there is one of that id. */
  requireNewSession(id: string): void;
  serveSession(connection: Duplex, announced: SessionAnnouncement): Promise<void>;
  serveGrpc(connection: Duplex): Promise<void>;
  /** `POST /build?version=2`, which has a session, too. */
  buildVersion2(exchange: Exchange): Promise<void>;
}

/** As `grpc.health.v1` counts. */
const serving = 1;

export function createBuildKit(options: BuildKitOptions): BuildKit {
  const { builder, logger, scratchDirectory } = options;
  const sessions = createSessions(logger);
  const uploads = createUploads();
  const services = { builder, sessions, scratchDirectory, jobs: new Jobs() };
  const methods: GrpcMethods = new Map([
    ...controlMethods({ ...options, ...services }),
    ...bridgeMethods({ ...options, ...services }),
    ['/grpc.health.v1.Health/Check', unary(HealthCheckRequest, HealthCheckResponse, async () => ({ status: serving }))],
  ]);
  return {
    requireNewSession: (id) => sessions.requireNew(id),
    serveSession: (connection, announced) => sessions.serve(connection, announced),
    serveGrpc: (connection) => serveGrpc(connection, methods, logger),
    buildVersion2: (exchange) => buildVersion2(exchange, { ...services, uploads }),
  };
}
