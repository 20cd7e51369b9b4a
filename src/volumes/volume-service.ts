/** `createVolumes`: the engine's volumes, from records and directories of the data root. */
import { notImplemented } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Database } from '../store/database.ts';
import type { Volumes } from './volumes.ts';

export interface VolumesOptions {
  readonly database: Database;
  readonly dataRoot: string;
  readonly logger: Logger;
  /** Where plugins of Docker's API are looked for; those of Docker when left out. */
  readonly plugins?: PluginDirectories;
}

export interface PluginDirectories {
  /** `NAME.sock` or `NAME/NAME.sock`. */
  readonly sockets: readonly string[];
  /** `NAME.spec` or `NAME.json`, also in a folder of that name. */
  readonly specs: readonly string[];
}

export async function createVolumes(_options: VolumesOptions): Promise<Volumes> {
  throw notImplemented('volumes are being written');
}
