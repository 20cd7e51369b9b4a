/**
 * Devices of this machine for containers and build steps: what can be named, and who has what. The implementation is `create-devices.ts`.
 *
 *   spec directories (CDI) ┐
 *   NVIDIA, AMD, Intel     ┴─▶ names ─▶ `grant` at a start: which devices, whether they are free ─▶ edits ─▶ `release` at the end
 *
 * Nothing is remembered here across a restart of the daemon: whoever holds devices stores `held` and says it again with `adopt`.
 */
import type { CdiSpec } from './cdi/cdi-spec.ts';
import { type DeviceEdits, noEdits } from './device-edits.ts';
import type { DeviceRequest } from './device-request.ts';
import type { GpuMaker } from './gpu-vendor.ts';
import type { GpuReadings } from './nvml/gpu-readings.ts';

export interface Devices {
  /** Everything that can be named now. Directories are looked at anew; what did not change is not read again. */
  list(): Promise<DeviceList>;
  /** By its qualified name; `notFound` with the names that come near. */
  inspect(name: string): Promise<DeviceView>;
  /** The description that discovery makes; null: of the first maker that has GPUs here. Throws why there are none. */
  describe(maker: GpuMaker | null): Promise<CdiSpec>;
  /**
   * What a holder gets, all or nothing, held until `release`. Throws, with cause and remedy: no driver, no such device, too few, held by somebody, a broken description.
   * Without a wish it is `noGrant` at once.
   */
  grant(holder: DeviceHolder, wish: DeviceWish): Promise<DeviceGrant>;
  /** After a restart of the daemon: it runs and has these. */
  adopt(holder: DeviceHolder, held: readonly HeldDevice[]): void;
  /** Nothing happens when it holds nothing. */
  release(holderId: string): void;
  /** Who has which of the devices that can be held (GPUs and their parts). */
  holders(): readonly { readonly holder: DeviceHolder; readonly held: readonly HeldDevice[] }[];
  readonly readings: GpuReadings;
  /** Directories of descriptions. */
  readonly specDirectories: readonly string[];
}

export interface DeviceHolder {
  readonly id: string;
  /** For messages: `container web (0123456789ab)`, `a build step`. */
  readonly title: string;
}

export interface DeviceWish {
  readonly requests: readonly DeviceRequest[];
  /** `K=V`, of the image and of the person: NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES, honoured as the daemon is configured. */
  readonly environment: readonly string[];
  /** Asked for by `--runtime nvidia`: the environment says which. */
  readonly byRuntime: boolean;
  /** Whether the image brings CUDA libraries of its own that are newer than that driver; default: it does not. Asked when the image's variables need a newer CUDA than there is. */
  readonly hasNewerCuda?: (driverVersion: string) => boolean;
}

export interface DeviceGrant {
  readonly edits: DeviceEdits;
  readonly held: readonly HeldDevice[];
}

export const noGrant: DeviceGrant = { edits: noEdits, held: [] };

export interface HeldDevice {
  /** `nvidia.com/gpu=GPU-…`, or by index where there is no UUID. */
  readonly device: string;
  readonly exclusive: boolean;
}

export interface DeviceList {
  readonly devices: readonly DeviceView[];
  /** Files that cannot be used, and discovery that found something wrong: one sentence each, naming the field. */
  readonly problems: readonly DeviceProblem[];
}

export interface DeviceProblem {
  /** File, or `nvidia discovery`. */
  readonly source: string;
  readonly text: string;
}

export interface DeviceView {
  /** `vendor.com/class=name` */
  readonly name: string;
  /** The file it is described in; null: discovered. */
  readonly file: string | null;
  readonly maker: GpuMaker | null;
  readonly model: string;
  readonly uuid: string | null;
  readonly memoryBytes: number | null;
  /** The device's own part of the description, and the part for all devices of its kind. */
  readonly description: Pick<CdiSpec, 'cdiVersion' | 'kind' | 'annotations' | 'containerEdits'> & {
    readonly device: CdiSpec['devices'][number];
  };
  readonly heldBy: readonly { readonly holder: DeviceHolder; readonly exclusive: boolean }[];
  /** Why it cannot be given to anybody now (a node that vanished, a name described twice); null: it can. */
  readonly problem: string | null;
}

export interface DeviceSettings {
  readonly specDirectories: readonly string[];
  /** Where the drivers' libraries and programs are: `/`, or where a driver container has them. */
  readonly driverRoot: string;
  /** Where `/dev`, `/proc` and `/sys` are read: `/`. */
  readonly deviceRoot: string;
  /** NVIDIA_VISIBLE_DEVICES of an image is a request, without `--gpus`. */
  readonly gpusFromEnvironment: boolean;
}
