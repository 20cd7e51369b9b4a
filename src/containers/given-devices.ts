/** What one run of a container has been granted, as it is stored and shown (container-devices.ts). */
import type { HeldDevice } from '../devices/devices.ts';

export interface GivenDevices {
  readonly held: readonly HeldDevice[];
  readonly nodes: readonly { readonly path: string; readonly hostPath: string; readonly access: string }[];
  /** Processes of `exec` get these too. */
  readonly env: readonly string[];
  readonly additionalGids: readonly number[];
  /** It has a layer of its own below its directory. */
  readonly hasLayer: boolean;
}
