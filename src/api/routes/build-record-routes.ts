/** Beyond Docker: the builds of this daemon, for `gantry builder history`. */
import type { BuildRecord } from '../../build/builder.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

export function buildRecordRoutes({ builder }: Pick<ApiServices, 'builder'>): readonly Route[] {
  return [
    {
      method: 'GET',
      pattern: '/gantry/builds',
      body: 'any',
      handle: async (exchange) => exchange.sendJson(200, builder.history().map(recordJson)),
    },
  ];
}

function recordJson({ id, name, startedAt, completedAt, status, steps, cachedSteps, warnings, error, imageId }: BuildRecord): object {
  return {
    ID: id,
    Name: name,
    Status: status,
    StartedAt: startedAt.toISOString(),
    CompletedAt: completedAt?.toISOString() ?? null,
    Steps: steps,
    CachedSteps: cachedSteps,
    Warnings: warnings,
    Error: error,
    ImageID: imageId,
  };
}
