/** The two connections that a BuildKit client opens: HTTP/2 behind an upgrade of HTTP/1. What passes on them is in buildkit/. */
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { invalid } from '../../base/errors.ts';
import { annotationsOf, isOpenDevice } from '../../containers/steps/find-step-devices.ts';
import { type BuildKit, createBuildKit } from '../buildkit/buildkit.ts';
import type { SessionAnnouncement } from '../buildkit/session/session.ts';
import type { WorkerDevice } from '../buildkit/solve/worker.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { BuildServices } from './build-routes.ts';

export function buildKitOf({ builder, devices, events, logger, networks, system }: BuildServices): BuildKit {
  return createBuildKit({
    builder,
    dataRoot: system.dataRoot,
    scratchDirectory: join(system.dataRoot, 'build', 'tmp'),
    worker: () => ({
      engineVersion: system.engineVersion,
      architecture: system.architecture,
      hostGateway: networks.hostGateway.find((address) => address.includes('.')) ?? networks.hostGateway[0] ?? null,
    }),
    devices: () => devicesOfBuilds(devices),
    pruned: (reclaimedBytes) =>
      events.publish({ type: 'builder', action: 'prune', id: '', attributes: { reclaimed: String(reclaimedBytes) } }),
    logger,
  });
}

const devicePatienceMs = 1000;

/** None when they cannot be looked at, or not soon: a client asks before each build, and few want devices. */
async function devicesOfBuilds(devices: BuildServices['devices']): Promise<readonly WorkerDevice[]> {
  const { promise: late, resolve } = Promise.withResolvers<readonly WorkerDevice[]>();
  const timer = setTimeout(() => resolve([]), devicePatienceMs);
  const listed = devices.list().then(
    (list) => list.devices.map((view) => ({ name: view.name, isOpen: isOpenDevice(view), annotations: annotationsOf(view) })),
    () => [],
  );
  return await Promise.race([listed, late]).finally(() => clearTimeout(timer));
}

export function buildKitRoutes(buildKit: BuildKit): readonly Route[] {
  return [
    { method: 'POST', pattern: '/grpc', body: 'any', hijack: true, handle: (exchange) => buildKit.serveGrpc(upgraded(exchange)) },
    { method: 'POST', pattern: '/session', body: 'any', hijack: true, handle: (exchange) => serveSession(exchange, buildKit) },
  ];
}

async function serveSession(exchange: Exchange, buildKit: BuildKit): Promise<void> {
  requireH2c(exchange.request);
  const announced = announcement(exchange.request);
  buildKit.requireNewSession(announced.id);
  await buildKit.serveSession(upgraded(exchange), announced);
}

function upgraded(exchange: Exchange) {
  requireH2c(exchange.request);
  return exchange.switchTo(() => 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n').stream;
}

function requireH2c({ headers }: IncomingMessage): void {
  const protocol = headers.upgrade ?? '';
  if (protocol === '') throw invalid('no upgrade proto in request: this path is for BuildKit clients, which send Upgrade: h2c');
  if (protocol.toLowerCase() !== 'h2c') throw invalid(`protocol ${protocol} not supported: use Upgrade: h2c`);
}

const methodLimit = 256;

function announcement({ headersDistinct }: IncomingMessage): SessionAnnouncement {
  const values = (name: string) => headersDistinct[`x-docker-expose-session-${name}`] ?? [];
  const id = values('uuid')[0] ?? '';
  if (!/^[A-Za-z0-9_.-]{1,128}$/.test(id)) throw invalid('the session has no id: X-Docker-Expose-Session-Uuid is missing or malformed');
  return { id, sharedKey: values('sharedkey')[0] ?? '', methods: values('grpc-method').slice(0, methodLimit) };
}
