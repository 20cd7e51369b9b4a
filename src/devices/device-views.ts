/** What people and clients see of each device that can be named. */
import { errorText } from '../base/errors.ts';
import type { DescribedDevice, SourcedEdits } from './cdi/catalogue.ts';
import type { DeviceEdits } from './device-edits.ts';
import type { DeviceProblem, DeviceView } from './devices.ts';
import { type Machine, unitsOfName } from './fill-wish.ts';
import { everyUnit } from './gpu-pool.ts';
import type { Gpu } from './gpu-vendor.ts';
import type { Grants } from './grants/grants.ts';
import type { MakerState } from './makers.ts';

/** All host facts looked up. Throws what is missing on this host. */
export type ResolveSourced = (edits: readonly SourcedEdits[]) => Promise<DeviceEdits>;

export async function viewOf(described: DescribedDevice, machine: Machine, grants: Grants, resolve: ResolveSourced): Promise<DeviceView> {
  const { name, file, spec, device } = described;
  const units = unitsOfName({ name, kind: spec.kind }, machine);
  const maker = [...machine.makers.values()].find(({ pool }) => pool?.kind === spec.kind) ?? null;
  return {
    name,
    file,
    maker: maker?.maker ?? null,
    ...(maker === null ? nothingKnown : gpuFacts(maker, name.slice(spec.kind.length + 1))),
    description: {
      cdiVersion: spec.cdiVersion,
      kind: spec.kind,
      ...(spec.annotations === undefined ? {} : { annotations: spec.annotations }),
      ...(spec.containerEdits === undefined ? {} : { containerEdits: spec.containerEdits }),
      device,
    },
    heldBy: grants.heldBy(units.reduce<ReadonlySet<string>>((all, { overlap }) => all.union(overlap), new Set())),
    problem: described.problem ?? (await problemOf(described, resolve)),
  };
}

async function problemOf({ file, spec, device }: DescribedDevice, resolve: ResolveSourced): Promise<string | null> {
  try {
    await resolve([{ file, kind: spec.kind, edits: device.containerEdits }]);
    return null;
  } catch (error) {
    return errorText(error);
  }
}

export function discoveryProblems({ makers, undescribed }: Machine): readonly DeviceProblem[] {
  return [...makers.values()].flatMap((state) => {
    const { maker, look, pool } = state;
    if (pool === null) return state.failed ? [{ source: `${maker} discovery`, text: state.why }] : [];
    const fatal = undescribed.get(pool.kind);
    const texts = [...(look?.problems ?? []), ...(fatal === undefined ? [] : [errorText(fatal)])];
    return texts.map((text) => ({ source: `${maker} discovery`, text }));
  });
}

const nothingKnown = { model: '', uuid: null, memoryBytes: null };

/** Of the GPU, or the part of one, that a name within a kind means; `all` means no single one. */
function gpuFacts({ look, pool }: MakerState, name: string): Pick<DeviceView, 'model' | 'uuid' | 'memoryBytes'> {
  const unit = pool === null ? undefined : everyUnit(pool).find(({ names }) => names.includes(name));
  if (unit === undefined) return nothingKnown;
  const gpu = look?.gpus.find((each) => String(each.index) === unit.name) ?? null;
  const whole = gpu ?? gpuOfPart(look?.gpus ?? [], unit.name);
  const profile = whole?.parts.find((part) => part.name === unit.name)?.profile ?? '';
  return {
    model: [whole?.model ?? '', profile === '' ? '' : `MIG ${profile}`].filter((text) => text !== '').join(' '),
    uuid: unit.uuid,
    memoryBytes: gpu?.memoryBytes ?? null,
  };
}

function gpuOfPart(gpus: readonly Gpu[], name: string): Gpu | null {
  return gpus.find(({ parts }) => parts.some((part) => part.name === name)) ?? null;
}
