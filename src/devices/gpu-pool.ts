/**
 * The GPUs of one maker as things that can be held: whole ones and their parts (MIG), with everything they are called. A whole GPU and its parts are the same
 * hardware: each says what it overlaps with, by name.
 */
import type { CdiDevice, CdiSpec } from './cdi/cdi-spec.ts';
import type { Gpu, GpuMaker, GpuPart } from './gpu-vendor.ts';

export interface GpuPool {
  readonly maker: GpuMaker;
  /** `nvidia.com/gpu` */
  readonly kind: string;
  readonly gpus: readonly GpuUnit[];
}

/** What somebody can have: a GPU, a part of one, or any other device that is described. */
export interface HoldableUnit {
  /** Under which it is held: `nvidia.com/gpu=GPU-…`. */
  readonly key: string;
  /** For messages: `GPU 0 (NVIDIA A100, GPU-…)`. */
  readonly label: string;
  /** Qualified names of everything that is the same hardware, its own among them. */
  readonly overlap: ReadonlySet<string>;
}

export interface GpuUnit extends HoldableUnit {
  /** `0`, `0:1` */
  readonly name: string;
  readonly uuid: string | null;
  /** All of its names within the kind, `name` first. */
  readonly names: readonly string[];
  /** Of a whole one that is divided. */
  readonly parts: readonly GpuUnit[];
}

export const makerNames: Readonly<Record<GpuMaker, string>> = { nvidia: 'NVIDIA', amd: 'AMD', intel: 'Intel' };
export const kindOfMaker: Readonly<Record<GpuMaker, string>> = { nvidia: 'nvidia.com/gpu', amd: 'amd.com/gpu', intel: 'intel.com/gpu' };
const allName = 'all';

export function poolOfGpus(maker: GpuMaker, kind: string, gpus: readonly Gpu[]): GpuPool {
  return { maker, kind, gpus: [...gpus].sort((one, other) => one.index - other.index).map((gpu) => unitOfGpu(kind, gpu)) };
}

function unitOfGpu(kind: string, gpu: Gpu): GpuUnit {
  const name = String(gpu.index);
  const names = distinct([name, gpu.uuid, ...gpu.names]);
  const label = `GPU ${name} (${distinct([gpu.model, gpu.uuid]).join(', ')})`;
  return unitOf(kind, { name, uuid: gpu.uuid, names, label }, gpu.parts.map(partFacts));
}

function partFacts(part: GpuPart): UnitFacts {
  const label = `part ${part.name} (${distinct(['MIG', part.profile, part.uuid]).join(' ')})`;
  return { name: part.name, uuid: part.uuid, names: distinct([part.name, part.uuid, ...part.names]), label };
}

interface UnitFacts {
  readonly name: string;
  readonly uuid: string | null;
  readonly names: readonly string[];
  readonly label: string;
}

function unitOf(kind: string, facts: UnitFacts, parts: readonly UnitFacts[]): GpuUnit {
  const qualified = (names: readonly string[]) => names.map((name) => `${kind}=${name}`);
  const key = ({ uuid, name }: UnitFacts) => `${kind}=${uuid ?? name}`;
  const whole = qualified(facts.names);
  return {
    ...facts,
    key: key(facts),
    overlap: new Set([...whole, ...parts.flatMap(({ names }) => qualified(names))]),
    parts: parts.map((part) => ({ ...part, key: key(part), overlap: new Set([...whole, ...qualified(part.names)]), parts: [] })),
  };
}

/**
 * Of a description in a file, where discovery found nothing. Which of its names mean one GPU is told by their device nodes; `0:1` is a part of `0`. One that names no
 * indexes has its other names for GPUs, and one that has nothing but `all` (as on Windows' Linux subsystem) has one. Null: it describes none.
 */
export function poolOfDescription(maker: GpuMaker, { kind, devices }: Pick<CdiSpec, 'kind' | 'devices'>): GpuPool | null {
  const named = devices.filter(({ name }) => name !== allName);
  const whole = firstFilled(
    named.filter(({ name }) => /^\d+$/.test(name)).sort((one, other) => Number(one.name) - Number(other.name)),
    named.filter(({ name }) => !name.startsWith('MIG-')),
    devices.filter(({ name }) => name === allName),
  );
  if (whole.length === 0) return null;
  const gpus = whole.map((gpu) => {
    const parts = named.filter(({ name }) => name.startsWith(`${gpu.name}:`)).map((part) => describedFacts('part', part, named));
    return unitOf(kind, describedFacts('GPU', gpu, named), parts);
  });
  return { maker, kind, gpus };
}

function firstFilled(...lists: readonly (readonly CdiDevice[])[]): readonly CdiDevice[] {
  return lists.find((list) => list.length > 0) ?? [];
}

function describedFacts(what: string, device: CdiDevice, all: readonly CdiDevice[]): UnitFacts {
  const nodes = nodesOf(device);
  const same = nodes === '' ? [] : all.filter((other) => !/^\d+(:\d+)?$/.test(other.name) && nodesOf(other) === nodes);
  const names = distinct([device.name, ...same.map(({ name }) => name)]);
  const uuid = names.find((name) => /^(GPU|MIG)-/.test(name)) ?? null;
  return { name: device.name, uuid, names, label: `${what} ${device.name}${uuid === null ? '' : ` (${uuid})`}` };
}

function nodesOf({ containerEdits }: CdiDevice): string {
  const paths = (containerEdits.deviceNodes ?? []).map(({ path, hostPath }) => hostPath ?? path);
  return paths.sort().join('\n');
}

/** A part or a whole one of exactly that name within its kind; `all` is every whole one. Null: nothing is called so. */
export function unitsNamed(pool: GpuPool, name: string): readonly GpuUnit[] | null {
  if (name === allName) return pool.gpus;
  const found = everyUnit(pool).find(({ names }) => names.includes(name));
  return found === undefined ? null : [found];
}

export function everyUnit({ gpus }: GpuPool): readonly GpuUnit[] {
  return gpus.flatMap((gpu) => [gpu, ...gpu.parts]);
}

/** Any other device that has a name. */
export function unitOfName(qualified: string): HoldableUnit {
  return { key: qualified, label: qualified, overlap: new Set([qualified]) };
}

function distinct(texts: readonly (string | null)[]): readonly string[] {
  return [...new Set(texts.filter((text) => text !== null && text !== ''))] as string[];
}
