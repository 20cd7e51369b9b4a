/** What this machine has of one maker's GPUs, and the CDI description that gives them to containers. One implementation a maker. */
import type { CdiSpec } from './cdi/cdi-spec.ts';

export type GpuMaker = 'nvidia' | 'amd' | 'intel';

export interface GpuVendor {
  readonly maker: GpuMaker;
  /** `nvidia.com/gpu` */
  readonly kind: string;
  /** As the machine is now; cheap when nothing has changed since the last look. Never blocks the event loop. */
  look(): Promise<GpuLook>;
}

export type GpuLook =
  /** `why` is a sentence for people: what was looked for and where, and what to do. */
  /** `lacksDriver`: GPUs of this maker are here and only want their driver, so that nobody is given those of another maker instead. */
  | { readonly present: false; readonly why: string; readonly lacksDriver?: true }
  | {
      readonly present: true;
      readonly driverVersion: string;
      /** NVIDIA: images may bring CUDA libraries that are newer than the driver, and use them. */
      readonly forwardCompatible?: boolean;
      readonly gpus: readonly Gpu[];
      /** What will not work and why: libraries of another version than the kernel module, a device node that is missing. A fatal one is thrown by `describe`. */
      readonly problems: readonly string[];
      /**
       * The description of all GPUs: devices by index, by UUID, parts (MIG) as `0:1` and by their UUID, and `all`. `capabilities` (NVIDIA: compute, utility, video,
       * graphics, display, compat32, ngx) choose libraries and programs; null: all but compat32. Throws what cannot work at all: versions that do not match.
       */
      describe(capabilities: ReadonlySet<string> | null): CdiSpec;
    };

export interface Gpu {
  /** As the maker's tools number it. */
  readonly index: number;
  /** `GPU-…`; null: not known. */
  readonly uuid: string | null;
  readonly model: string;
  /** `0000:01:00.0` */
  readonly pciAddress: string;
  /** Bytes; null: not known. */
  readonly memoryBytes: number | null;
  /** Of a GPU that is divided (MIG); else empty. */
  readonly parts: readonly GpuPart[];
  /** Names of this GPU in the description, the one for people first: `0`, `GPU-…`. */
  readonly names: readonly string[];
}

export interface GpuPart {
  /** `0:1`: first part of GPU 0 is `0:0`. */
  readonly name: string;
  readonly uuid: string | null;
  /** `1g.10gb`; '': not known. */
  readonly profile: string;
  readonly names: readonly string[];
}
