/** What is there of one maker: the GPUs that discovery finds, else those that are described in files. */
import { errorText } from '../base/errors.ts';
import { type Catalogue, catalogueOf, type DescribedDevice, editsOf, type SourcedEdits } from './cdi/catalogue.ts';
import { type GpuPool, type GpuUnit, poolOfDescription, poolOfGpus } from './gpu-pool.ts';
import type { GpuLook, GpuMaker, GpuVendor } from './gpu-vendor.ts';

type Found = Extract<GpuLook, { present: true }>;

/** GPUs of one maker that can be given away. */
export interface MakerHere {
  readonly maker: GpuMaker;
  readonly pool: GpuPool;
  /** Null: they are known from files alone. */
  readonly look: Found | null;
  /** Of these GPUs; of none, what all have in common: the driver. `capabilities` as of `describe`. Throws what cannot work at all. */
  edits(units: readonly GpuUnit[], capabilities: ReadonlySet<string> | null): readonly SourcedEdits[];
}

export interface MakerAbsent {
  readonly maker: GpuMaker;
  readonly pool: null;
  readonly look: null;
  readonly why: string;
  readonly lacksDriver: boolean;
  /** Looking itself failed: a problem of this maker alone. */
  readonly failed: boolean;
}

export type MakerState = MakerHere | MakerAbsent;

/** `files`: what is described in files alone. */
export async function lookAtMaker(vendor: GpuVendor, files: Catalogue): Promise<MakerState> {
  const { maker, kind } = vendor;
  let look: GpuLook;
  try {
    look = await vendor.look();
  } catch (error) {
    return { maker, pool: null, look: null, why: errorText(error), lacksDriver: true, failed: true };
  }
  if (!look.present) return describedMaker(maker, kind, files) ?? absent(maker, look);
  return {
    maker,
    look,
    pool: poolOfGpus(maker, kind, look.gpus),
    edits(units, capabilities) {
      const spec = look.describe(capabilities);
      const discovered = catalogueOf([], { files: [], problems: [] }, [spec]);
      return editsOfUnits(discovered, kind, units, { file: null, spec });
    },
  };
}

function absent(maker: GpuMaker, { why, lacksDriver }: Exclude<GpuLook, Found>): MakerAbsent {
  return { maker, pool: null, look: null, why, lacksDriver: lacksDriver === true, failed: false };
}

function describedMaker(maker: GpuMaker, kind: string, files: Catalogue): MakerHere | null {
  const devices = [...files.devices.values()].filter(({ spec, problem }) => spec.kind === kind && problem === null);
  const pool = poolOfDescription(maker, { kind, devices: devices.map(({ device }) => device) });
  if (pool === null) return null;
  return { maker, pool, look: null, edits: (units) => editsOfUnits(files, kind, units, devices[0] ?? null) };
}

/** `common`: whose edits for all devices are what there is of no GPU. */
function editsOfUnits(
  catalogue: Catalogue,
  kind: string,
  units: readonly GpuUnit[],
  common: Pick<DescribedDevice, 'file' | 'spec'> | null,
): readonly SourcedEdits[] {
  const names = units.flatMap((unit) => describedNames(catalogue, kind, unit));
  if (names.length > 0) return editsOf(catalogue, names);
  return common?.spec.containerEdits === undefined ? [] : [{ file: common.file, kind, edits: common.spec.containerEdits }];
}

/** The name for people, where a description has it; a divided GPU may be described by its parts alone. */
function describedNames(catalogue: Catalogue, kind: string, unit: GpuUnit): readonly string[] {
  const own = unit.names.map((name) => `${kind}=${name}`);
  const described = own.find((name) => catalogue.devices.has(name));
  if (described !== undefined) return [described];
  return unit.parts.length === 0 ? own.slice(0, 1) : unit.parts.flatMap((part) => describedNames(catalogue, kind, part));
}
