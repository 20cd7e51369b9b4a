import type { NvmlGpu } from '../../../src/devices/nvml/gpu-readings.ts';

export interface FakeDriverOptions {
  /** NVIDIA GPUs: 1. */
  readonly gpus?: number;
  /** By index of the GPU: how it is divided. `[{}, {}]`: two parts. */
  readonly mig?: Readonly<Record<number, readonly FakePartOptions[]>>;
  /** Of the kernel module: `580.159.04`. */
  readonly driverVersion?: string;
  /** Of the libraries: that of the module. */
  readonly libraryVersion?: string;
  /** The open kernel module: true. */
  readonly open?: boolean;
  readonly without?: readonly MissingPiece[];
  /** Libraries for 32-bit programs: true. */
  readonly with32Bit?: boolean;
  /** nvidia-fabricmanager's socket, NVSwitches, IMEX: false. */
  readonly fabric?: boolean;
  /** `mknod` (needs root; the default where we are root), or empty files. */
  readonly nodes?: 'mknod' | 'empty';
  /** What `cuDriverGetVersion` says: 12040. */
  readonly cudaVersion?: number;
  /** A file that becomes libnvidia-ml.so.VERSION; else one that loads and exports nothing. */
  readonly nvmlLibrary?: string;
  /** GPUs of these makers: 0. */
  readonly amd?: number;
  readonly intel?: number;
}

/**
 * `module`: the hardware is there, no driver is loaded. `nouveau`: that driver has it. `hardware`: no GPU at all. `nodes`: nobody ran nvidia-modprobe. `loader-cache`:
 * no etc/ld.so.cache. `uuid`: the driver was never opened, it does not know its GPUs' UUIDs.
 */
export type MissingPiece =
  | 'module'
  | 'nouveau'
  | 'hardware'
  | 'nodes'
  | 'uvm'
  | 'modeset'
  | 'dri'
  | 'libraries'
  | 'graphics'
  | 'programs'
  | 'firmware'
  | 'sockets'
  | 'loader-cache'
  | 'uuid';

export interface FakePartOptions {
  /** 1, 2, … and 0, by default. */
  readonly gpuInstance?: number;
  readonly computeInstance?: number;
  readonly profile?: string;
}

export interface FakePart {
  /** `0:1` */
  readonly name: string;
  readonly uuid: string;
  readonly gpuInstance: number;
  readonly computeInstance: number;
  readonly profile: string;
  /** Its own nodes, below /dev/nvidia-caps, in the container. */
  readonly nodes: readonly string[];
}

export interface FakeGpu {
  readonly index: number;
  readonly uuid: string | null;
  readonly model: string;
  readonly pciAddress: string;
  readonly memoryBytes: number;
  /** The nodes of this GPU alone, as a container has them: /dev/nvidia0, /dev/dri/card1, … */
  readonly nodes: readonly string[];
  readonly parts: readonly FakePart[];
}

export interface FakeDriver {
  /** Device root and driver root. */
  readonly root: string;
  readonly driverVersion: string;
  readonly libraryVersion: string;
  readonly gpus: readonly FakeGpu[];
  /** The nodes that every GPU needs: /dev/nvidiactl, … */
  readonly controlNodes: readonly string[];
  /** Path in the driver root, as a container has it. */
  readonly libraries: readonly { readonly path: string; readonly soname: string | null }[];
  readonly programs: readonly string[];
  /** What NVML would say. */
  readonly inventory: readonly NvmlGpu[];
  readonly amd: readonly FakeGpu[];
  readonly intel: readonly FakeGpu[];
}
