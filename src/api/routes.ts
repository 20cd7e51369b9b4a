/** The whole API: one list of routes, one file per resource. */
import type { Route } from './route-table.ts';
import { buildRecordRoutes } from './routes/build-record-routes.ts';
import { type BuildServices, buildRoutes } from './routes/build-routes.ts';
import { buildSessionRoutes } from './routes/build-session-routes.ts';
import { buildKitOf, buildKitRoutes } from './routes/buildkit-routes.ts';
import { containerFileRoutes } from './routes/container-file-routes.ts';
import { containerRoutes } from './routes/container-routes.ts';
import { containerStreamRoutes } from './routes/container-stream-routes.ts';
import { deviceRoutes } from './routes/device-routes.ts';
import { eventRoutes } from './routes/event-routes.ts';
import { execRoutes } from './routes/exec-routes.ts';
import { fsckRoutes } from './routes/fsck-routes.ts';
import { imageInsightRoutes } from './routes/image-insight-routes.ts';
import { imageRoutes } from './routes/image-routes.ts';
import { imageTransferRoutes } from './routes/image-transfer-routes.ts';
import { leaseRoutes } from './routes/lease-routes.ts';
import { manifestRoutes } from './routes/manifest-routes.ts';
import { networkRoutes } from './routes/network-routes.ts';
import { registryRoutes } from './routes/registry-routes.ts';
import { systemRoutes } from './routes/system-routes.ts';
import { unbuiltRoutes } from './routes/unbuilt-routes.ts';
import { usageRoutes } from './routes/usage-routes.ts';
import { volumeRoutes } from './routes/volume-routes.ts';
import type { ApiServices } from './services.ts';

export function apiRoutes(services: ApiServices): readonly Route[] {
  return [
    ...systemRoutes(services),
    ...eventRoutes(services),
    ...containerRoutes(services),
    ...containerFileRoutes(services),
    ...containerStreamRoutes(services),
    ...usageRoutes(services),
    ...execRoutes(services),
    ...imageRoutes(services),
    ...imageInsightRoutes(services),
    ...imageTransferRoutes(services),
    ...registryRoutes(services),
    ...manifestRoutes(services),
    ...networkRoutes(services),
    ...volumeRoutes(services),
    ...leaseRoutes(services),
    ...deviceRoutes(services),
    ...fsckRoutes(services),
    ...builderRoutes(services),
    ...unbuiltRoutes(),
  ];
}

/** All three protocols of builds; BuildKit's has a part in the classic route, too (`version=2`). */
function builderRoutes(services: BuildServices): readonly Route[] {
  const buildKit = buildKitOf(services);
  return [
    ...buildRoutes(services, buildKit.buildVersion2),
    ...buildSessionRoutes(services.builder),
    ...buildRecordRoutes(services),
    ...buildKitRoutes(buildKit),
  ];
}
