/** A description of devices as the Container Device Interface has it (container-device-interface SPEC.md, 0.3.0 to 1.1.0): types only, names as in the file. */

import type { IntelRdt } from '../../oci/runtime-spec.ts';

export interface CdiSpec {
  readonly cdiVersion: string;
  /** `vendor.com/class` */
  readonly kind: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly devices: readonly CdiDevice[];
  /** For whoever gets at least one of the devices. */
  readonly containerEdits?: CdiEdits;
}

export interface CdiDevice {
  readonly name: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly containerEdits: CdiEdits;
}

export interface CdiEdits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly CdiDeviceNode[];
  readonly mounts?: readonly CdiMount[];
  readonly hooks?: readonly CdiHook[];
  readonly additionalGids?: readonly number[];
  readonly intelRdt?: IntelRdt;
  readonly netDevices?: readonly { readonly hostInterfaceName: string; readonly name: string }[];
}

export interface CdiDeviceNode {
  readonly path: string;
  readonly hostPath?: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly type?: string;
  readonly options?: readonly string[];
}

export interface CdiHook {
  readonly hookName: string;
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}
