/**
 * Leases, beyond Docker.
 *
 *   POST /leases?name=N&grace=10s     200, {"Name":"N","Socket":"unix:///…"}, and the connection stays open: the lease is held until it ends.
 *                                     What is created through the socket belongs to it
 *   X-Gantry-Lease: N                 on any request that creates a container, network or volume: it belongs to the lease, as by the label `gantry.lease=N`
 *   X-Gantry-Ttl: 10m                 the same for the label `gantry.ttl=10m`
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { invalid } from '../../base/errors.ts';
import { isLeaseName, ttlMs } from '../../containers/leases/lease-labels.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

const defaultGrace = '10s';

export function leaseRoutes(services: ApiServices): readonly Route[] {
  return [{ method: 'POST', pattern: '/leases', body: 'any', handle: (exchange) => hold(exchange, services) }];
}

async function hold(exchange: Exchange, { leases, leaseSockets }: ApiServices): Promise<void> {
  const name = exchange.text('name') || randomBytes(16).toString('hex');
  if (!isLeaseName(name)) throw invalid(`invalid lease name ${JSON.stringify(name)}: use letters, digits, "_", "." and "-"`);
  const grace = exchange.text('grace') || defaultGrace;
  const graceMs = grace === '0' ? 0 : ttlMs(grace);
  if (graceMs === null) throw invalid(`invalid grace ${JSON.stringify(grace)}: it must be a duration, for example 10s`);
  const release = leases.hold(name, graceMs);
  try {
    const socket = await leaseSockets.open(name);
    exchange.startStream(200, 'application/json');
    exchange.writeLine({ Name: name, Socket: socket?.address ?? null });
    if (!exchange.signal.aborted) await once(exchange.signal, 'abort');
    socket?.close();
    exchange.response.end();
  } finally {
    release();
  }
}
