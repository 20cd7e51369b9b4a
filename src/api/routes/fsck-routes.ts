/** `GET /system/fsck`: what should not be there, or is missing. `POST /system/fsck`: the same, and repairs it. Beyond Docker. */
import type { Exchange } from '../exchange.ts';
import type { FsckFinding } from '../fsck.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

export function fsckRoutes({ fsck }: ApiServices): readonly Route[] {
  const answer = async (exchange: Exchange, repair: boolean): Promise<void> => {
    const { findings } = await fsck({ deep: exchange.flag('deep'), repair });
    exchange.sendJson(200, { Findings: findings.map(findingJson) });
  };
  return [
    { method: 'GET', pattern: '/system/fsck', body: 'any', handle: (exchange) => answer(exchange, false) },
    { method: 'POST', pattern: '/system/fsck', body: 'any', handle: (exchange) => answer(exchange, true) },
  ];
}

function findingJson({ kind, what, why, repair, outcome }: FsckFinding): object {
  return {
    Kind: kind,
    What: what,
    Why: why,
    Repair: repair ?? '',
    Outcome: typeof outcome === 'string' ? outcome : 'failed',
    ...(typeof outcome === 'string' ? {} : { Error: outcome.failed }),
  };
}
