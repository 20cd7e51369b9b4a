/** The headers that put what a request creates under a lease (lease-routes.ts), as the labels they stand for. A label of the request itself wins. */
import { checkLeaseLabels, type Labels, leaseLabel, ttlLabel } from '../containers/leases/lease-labels.ts';
import type { Exchange } from './exchange.ts';

export function withLeaseLabels({ request }: Exchange, labels: Labels): Labels {
  const { 'x-gantry-lease': lease, 'x-gantry-ttl': ttl } = request.headers;
  const labelled = {
    ...(typeof lease === 'string' && lease !== '' ? { [leaseLabel]: lease } : {}),
    ...(typeof ttl === 'string' && ttl !== '' ? { [ttlLabel]: ttl } : {}),
    ...labels,
  };
  checkLeaseLabels(labelled);
  return labelled;
}
