/**
 * A plan of a wish and what is on this machine → what is to be held and what it changes in a container. All of it happens in one turn of the event loop: whoever
 * holds the result before it waits for anything can be sure that nobody else got the same.
 */
import { conflict } from '../base/errors.ts';
import { type Catalogue, editsOf, type SourcedEdits } from './cdi/catalogue.ts';
import type { HeldDevice } from './devices.ts';
import { type GpuUnit, type HoldableUnit, unitOfName, unitsNamed } from './gpu-pool.ts';
import type { GpuMaker } from './gpu-vendor.ts';
import { type Chooser, chooseGpus, heldText } from './grants/choose-gpus.ts';
import type { Grants } from './grants/grants.ts';
import type { MakerHere, MakerState } from './makers.ts';
import { driverCapabilities, joinVariables, visibleVariable } from './requests/gpu-environment.ts';
import { couldNotSelect } from './requests/match-driver.ts';
import type { GpuWish, NameWish, WishPlan } from './requests/plan-wish.ts';

/** As far as a plan needs it. */
export interface Machine {
  readonly makers: ReadonlyMap<GpuMaker, MakerState>;
  /** Of files, and of the makers' GPUs below them. */
  readonly catalogue: Catalogue;
  /** Why GPUs of a kind are not in the catalogue: what describing them threw. */
  readonly undescribed: ReadonlyMap<string, unknown>;
}

export interface FilledWish {
  readonly held: readonly HeldDevice[];
  readonly edits: readonly SourcedEdits[];
  /** `K=V` beside those of the descriptions. */
  readonly variables: readonly string[];
}

export function fillWish(plan: WishPlan, machine: Machine, grants: Grants, holderId: string): FilledWish {
  const taken: Taken = new Map();
  const gpus = plan.gpus.map((wish) => fillGpus(wish, plan, machine, chooser(wish, grants, holderId, taken), taken));
  for (const wish of plan.names) takeNamed(wish, machine, chooser(wish, grants, holderId, taken), taken);
  const named = editsOf(
    machine.catalogue,
    plan.names.map(({ name }) => name),
  );
  return {
    held: [...taken.values()].map(({ unit, exclusive }) => ({ device: unit.key, exclusive })),
    edits: eachOnce([...gpus.flatMap(({ edits }) => edits), ...named]),
    variables: joinVariables(gpus.flatMap(({ variables }) => variables)),
  };
}

/** What is asked for in two ways is done once: hooks, above all. */
function eachOnce(parts: readonly SourcedEdits[]): readonly SourcedEdits[] {
  return [...new Map(parts.toReversed().map((part) => [part.edits, part])).values()].reverse();
}

/** The maker that answers a wish: the first that is here, or would be with its driver. Throws Docker's words when there is none. */
export function answering(
  { makers: matched, request, remedy }: GpuWish,
  { makers }: Machine,
): { readonly here: MakerHere; readonly capabilities: readonly string[] } {
  const reasons: string[] = [];
  for (const { maker, capabilities } of matched) {
    const state = makers.get(maker);
    if (state === undefined) continue;
    if (state.pool !== null) return { here: state, capabilities };
    reasons.push(state.why);
    if (state.lacksDriver) break;
  }
  throw couldNotSelect(request, [...reasons, ...(remedy === null ? [] : [remedy])].join('; '));
}

/** By key. */
type Taken = Map<string, { readonly unit: HoldableUnit; readonly exclusive: boolean }>;

function take(taken: Taken, units: readonly HoldableUnit[], exclusive: boolean): void {
  for (const unit of units) taken.set(unit.key, { unit, exclusive: exclusive || taken.get(unit.key)?.exclusive === true });
}

function chooser({ exclusive }: { readonly exclusive: boolean }, grants: Grants, holderId: string, taken: Taken): Chooser {
  return { grants, holderId, exclusive, chosen: [...taken.values()].map(({ unit }) => unit) };
}

function fillGpus(wish: GpuWish, { environment }: WishPlan, machine: Machine, by: Chooser, taken: Taken): Omit<FilledWish, 'held'> {
  const { here, capabilities } = answering(wish, machine);
  const units = chooseGpus(here.pool, wish.which, by);
  take(taken, units, wish.exclusive);
  const visible = visibleVariable(
    here.maker,
    wish.which,
    units.map(({ name }) => name),
  );
  if (wish.which.kind === 'nothing') return { edits: [], variables: visible };
  if (here.maker !== 'nvidia') return { edits: here.edits(units, null), variables: visible };
  const driver = driverCapabilities(capabilities, environment);
  return { edits: here.edits(units, driver.chosen), variables: [...visible, ...driver.variables] };
}

/** GPUs are held whichever way they are asked for. */
function takeNamed(wish: NameWish, machine: Machine, by: Chooser, taken: Taken): void {
  if (!machine.catalogue.devices.has(wish.name) && machine.undescribed.has(wish.kind)) throw machine.undescribed.get(wish.kind);
  const units = unitsOfName(wish, machine);
  const obstacles = units.flatMap((unit) => heldText(unit, by) ?? []);
  if (obstacles.length > 0)
    throw conflict(`${wish.name} cannot be had: ${obstacles.join('; ')}. Stop that first, or ask for another device`);
  take(taken, units, wish.exclusive);
}

/** What is held when somebody has the device of this name. */
export function unitsOfName({ name, kind }: Pick<NameWish, 'name' | 'kind'>, { makers }: Pick<Machine, 'makers'>): readonly HoldableUnit[] {
  const pool = [...makers.values()].find((maker) => maker.pool?.kind === kind)?.pool ?? null;
  const units: readonly GpuUnit[] | null = pool === null ? null : unitsNamed(pool, name.slice(kind.length + 1));
  return units ?? [unitOfName(name)];
}
