/** Which GPUs of a pool a wish gets: those it names, all, or the least used. Throws with what there is, or with who holds it. */
import { conflict, invalid } from '../../base/errors.ts';
import { everyUnit, type GpuPool, type GpuUnit, type HoldableUnit, makerNames, unitsNamed } from '../gpu-pool.ts';
import type { WhichGpus } from '../requests/gpu-environment.ts';
import { quoted } from '../requests/quoted.ts';
import type { Grants, HeldBy } from './grants.ts';

/** Whoever asks, and what was chosen for it before. */
export interface Chooser {
  readonly grants: Grants;
  readonly holderId: string;
  readonly exclusive: boolean;
  /** Chosen by other requests of the same wish. */
  readonly chosen: readonly HoldableUnit[];
}

export function chooseGpus(pool: GpuPool, which: WhichGpus, chooser: Chooser): readonly GpuUnit[] {
  switch (which.kind) {
    case 'nothing':
    case 'driver':
      return [];
    case 'all':
      return checkFree(pool.gpus, pool, chooser);
    case 'ids':
      return checkFree([...new Set(which.ids.flatMap((id) => unitsOfId(pool, id)))], pool, chooser);
    case 'count':
      return leastUsed(pool, which.count, chooser);
  }
}

/** Why others keep somebody from having it; null: it can be had. */
export function obstacle(unit: HoldableUnit, { grants, holderId, exclusive }: Omit<Chooser, 'chosen'>): HeldBy | null {
  const others = grants.heldBy(unit.overlap).filter(({ holder }) => holder.id !== holderId);
  return others.find((other) => other.exclusive) ?? (exclusive ? (others[0] ?? null) : null);
}

function checkFree(units: readonly GpuUnit[], pool: GpuPool, chooser: Chooser): readonly GpuUnit[] {
  const taken = units.flatMap((unit) => heldText(unit, chooser) ?? []);
  if (taken.length === 0) return units;
  const free = pool.gpus.filter((gpu) => obstacle(gpu, chooser) === null).map(({ name }) => name);
  const others = free.length === 0 ? 'no GPU is free now' : `free now: ${free.join(', ')} (ask by count, or for these)`;
  throw conflict(`${taken.join('; ')}. Stop that first, or ask for others; ${others}`);
}

/** Of a device that somebody else keeps from being had. */
export function heldText(unit: HoldableUnit, chooser: Omit<Chooser, 'chosen'>): string | null {
  const other = obstacle(unit, chooser);
  if (other === null) return null;
  return other.exclusive
    ? `${unit.label} is held exclusively by ${other.holder.title}`
    : `${unit.label} cannot be had exclusively: ${other.holder.title} has it too`;
}

/** The least used first, those that are divided after those that are whole, then as they are numbered. */
function leastUsed(pool: GpuPool, count: number, chooser: Chooser): readonly GpuUnit[] {
  if (count > pool.gpus.length) {
    throw invalid(`${gpuCount(count)} ${count === 1 ? 'was' : 'were'} asked for, but ${whatThereIs(pool)}. Ask for fewer, or for all`);
  }
  const free = pool.gpus.filter((gpu) => obstacle(gpu, chooser) === null);
  if (free.length < count) {
    const taken = pool.gpus.flatMap((gpu) => heldText(gpu, chooser) ?? []);
    throw conflict(
      `${gpuCount(count)} ${count === 1 ? 'was' : 'were'} asked for, but ${free.length} of ${pool.gpus.length} ${free.length === 1 ? 'is' : 'are'} free: ` +
        `${taken.join('; ')}. Stop one of these first${free.length === 0 ? '' : ', or ask for fewer'}`,
    );
  }
  const used = new Map(free.map((gpu) => [gpu, uses(gpu, chooser)]));
  const before = (one: GpuUnit, other: GpuUnit) =>
    (used.get(one) ?? 0) - (used.get(other) ?? 0) || Math.min(one.parts.length, 1) - Math.min(other.parts.length, 1);
  return [...free]
    .sort(before)
    .slice(0, count)
    .sort((one, other) => Number(one.name) - Number(other.name));
}

function uses(gpu: GpuUnit, { grants, holderId, chosen }: Chooser): number {
  const others = grants.heldBy(gpu.overlap).filter(({ holder }) => holder.id !== holderId);
  return others.length + chosen.filter(({ key }) => gpu.overlap.has(key)).length;
}

/** By index, UUID or the beginning of one that is enough, or `0:1` for a part; a qualified name of the kind will do too. */
function unitsOfId(pool: GpuPool, id: string): readonly GpuUnit[] {
  const name = id.startsWith('runtime.') ? id.slice('runtime.'.length) : id;
  const own = name.startsWith(`${pool.kind}=`) ? name.slice(pool.kind.length + 1) : name;
  return unitsNamed(pool, own) ?? [unitOfPrefix(pool, own)];
}

function unitOfPrefix(pool: GpuPool, id: string): GpuUnit {
  const found = /^(GPU|MIG)-./.test(id) ? everyUnit(pool).filter(({ uuid }) => uuid?.startsWith(id) === true) : [];
  const [only, another] = found;
  if (only !== undefined && another === undefined) return only;
  if (only !== undefined)
    throw invalid(`the GPU ${quoted(id)} is ambiguous: it may be ${found.map(({ label }) => label).join(' or ')}. Give more of the UUID`);
  throw invalid(`there is no GPU ${quoted(id)}: ${noSuchPart(pool, id) ?? whatThereIs(pool)}`);
}

/** Of `0:1` when there is a GPU 0. */
function noSuchPart({ gpus }: GpuPool, id: string): string | null {
  const gpu = gpus.find(({ name }) => id.startsWith(`${name}:`));
  if (gpu === undefined) return null;
  if (gpu.parts.length === 0) return `${gpu.label} is not divided. Divide it (nvidia-smi mig), or ask for "${gpu.name}"`;
  return `${gpu.label} has ${gpu.parts.map(({ label }) => label).join(', ')}`;
}

export function whatThereIs({ maker, gpus }: GpuPool): string {
  if (gpus.length === 0) return `this machine has the ${makerNames[maker]} driver, but no GPU that it drives`;
  const parts = gpus.flatMap((gpu) => [gpu, ...gpu.parts]).map(({ label }) => label);
  return `this machine has ${parts.join(', ')}`;
}

function gpuCount(count: number): string {
  return count === 1 ? '1 GPU' : `${count} GPUs`;
}
