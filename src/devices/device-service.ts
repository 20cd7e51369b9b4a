/**
 * The service: looks at files and makers anew for each question, and remembers in `grants` who has what.
 *
 *   grant: plan of the wish (pure) ─▶ look at what it needs ─▶ requirements of the image ─▶ choose and hold, in one turn ─▶ host facts of the edits
 *                                                                                             └── taken back when these fail
 */
import { EngineError, notFound } from '../base/errors.ts';
import { nearest } from '../base/near-miss.ts';
import { catalogueOf } from './cdi/catalogue.ts';
import type { CdiSpec } from './cdi/cdi-spec.ts';
import type { SpecFiles } from './cdi/spec-directories.ts';
import { discoveryProblems, type ResolveSourced, viewOf } from './device-views.ts';
import type { DeviceGrant, DeviceHolder, DeviceList, DeviceProblem, Devices, DeviceView, DeviceWish, HeldDevice } from './devices.ts';
import { noGrant } from './devices.ts';
import { answering, fillWish, type Machine } from './fill-wish.ts';
import type { GpuMaker, GpuVendor } from './gpu-vendor.ts';
import { Grants } from './grants/grants.ts';
import { lookAtMaker } from './makers.ts';
import type { GpuReadings } from './nvml/gpu-readings.ts';
import { checkRequirements, requirementsOf } from './requests/driver-requirements.ts';
import { planWish, type WishPlan } from './requests/plan-wish.ts';

export interface DeviceServiceParts {
  /** Descriptions in directories. */
  readonly files: { readonly directories: readonly string[]; look(): Promise<SpecFiles> };
  readonly vendors: readonly GpuVendor[];
  readonly readings: GpuReadings;
  readonly resolve: ResolveSourced;
  readonly gpusFromEnvironment: boolean;
}

export class DeviceService implements Devices {
  readonly readings: GpuReadings;
  readonly specDirectories: readonly string[];
  readonly #parts: DeviceServiceParts;
  readonly #grants = new Grants();

  constructor(parts: DeviceServiceParts) {
    this.#parts = parts;
    this.readings = parts.readings;
    this.specDirectories = parts.files.directories;
  }

  async grant(holder: DeviceHolder, wish: DeviceWish): Promise<DeviceGrant> {
    const plan = planWish(wish, this.#parts.gpusFromEnvironment);
    if (plan === null) return noGrant;
    const machine = await this.#lookFor(plan);
    await this.#checkDriver(plan, machine, wish);
    const { held, edits, variables } = fillWish(plan, machine, this.#grants, holder.id);
    const before = this.#grants.heldOf(holder.id);
    this.#grants.hold(holder, held);
    try {
      const resolved = await this.#parts.resolve(edits);
      return { edits: { ...resolved, env: [...resolved.env, ...variables] }, held };
    } catch (error) {
      this.#grants.hold(holder, before);
      throw error;
    }
  }

  adopt(holder: DeviceHolder, held: readonly HeldDevice[]): void {
    this.#grants.hold(holder, held);
  }

  release(holderId: string): void {
    this.#grants.release(holderId);
  }

  holders() {
    return this.#grants.holdings();
  }

  async describe(maker: GpuMaker | null): Promise<CdiSpec> {
    const asked = this.#parts.vendors.filter((vendor) => maker === null || vendor.maker === maker);
    const reasons: string[] = [];
    for (const vendor of asked) {
      const look = await vendor.look();
      if (look.present) return look.describe(null);
      reasons.push(look.why);
    }
    throw new EngineError('unavailable', reasons.join('; ') || `no GPU of ${maker ?? 'any maker'} is looked for by this daemon`);
  }

  async inspect(name: string): Promise<DeviceView> {
    const { devices } = await this.list();
    const found = devices.find((device) => device.name === name);
    if (found !== undefined) return found;
    const names = devices.map((device) => device.name);
    const near = nearest(name, names);
    const what = names.length === 0 ? 'there is no device that can be named' : `there are ${names.slice(0, 20).join(', ')}`;
    throw notFound(`no such device: ${name}: ${near === null ? what : `did you mean ${near}?`}`);
  }

  async list(): Promise<DeviceList> {
    const machine = await this.#look(
      this.#parts.vendors,
      this.#parts.vendors.map(({ kind }) => kind),
    );
    const devices = await Promise.all(
      [...machine.catalogue.devices.values()].map((device) => viewOf(device, machine, this.#grants, this.#parts.resolve)),
    );
    return { devices, problems: [...machine.catalogue.problems.map(withoutSource), ...discoveryProblems(machine)] };
  }

  async #lookFor({ gpus, names }: WishPlan): Promise<Machine> {
    const makers = new Set(gpus.flatMap((wish) => wish.makers.map(({ maker }) => maker)));
    const kinds = new Set(names.map(({ kind }) => kind));
    return await this.#look(
      this.#parts.vendors.filter(({ maker, kind }) => makers.has(maker) || kinds.has(kind)),
      [...kinds],
    );
  }

  /** `describedKinds`: GPUs of which kinds are wanted in the catalogue. */
  async #look(vendors: readonly GpuVendor[], describedKinds: readonly string[]): Promise<Machine> {
    const { files } = this.#parts;
    const found = await files.look();
    const inFiles = catalogueOf(files.directories, found, []);
    const states = await Promise.all(vendors.map((vendor) => lookAtMaker(vendor, inFiles)));
    const discovered: CdiSpec[] = [];
    const undescribed = new Map<string, unknown>();
    for (const { look, pool } of states) {
      if (look === null || !describedKinds.includes(pool.kind)) continue;
      try {
        discovered.push(look.describe(null));
      } catch (error) {
        undescribed.set(pool.kind, error);
      }
    }
    return {
      makers: new Map(states.map((state) => [state.maker, state])),
      catalogue: discovered.length === 0 ? inFiles : catalogueOf(files.directories, found, discovered),
      undescribed,
    };
  }

  /** What the image needs of the driver, when it gets one. Which CUDA an image offers that brings a newer one is not known. */
  async #checkDriver(plan: WishPlan, machine: Machine, { hasNewerCuda = () => false }: DeviceWish): Promise<void> {
    const requirements = requirementsOf(plan.environment);
    if (requirements.length === 0) return;
    for (const wish of plan.gpus) {
      const { here } = answering(wish, machine);
      if (here.maker !== 'nvidia' || here.look === null || wish.which.kind === 'nothing') continue;
      const { driverVersion: driver, forwardCompatible = false } = here.look;
      const brings = forwardCompatible && hasNewerCuda(driver);
      const inventory = brings ? null : await this.readings.inventory();
      checkRequirements(requirements, { driver, cuda: inventory?.[0]?.cudaVersion ?? null });
    }
  }
}

/** Whoever shows a problem shows its source as well. */
function withoutSource({ source, text }: DeviceProblem): DeviceProblem {
  return { source, text: text.startsWith(`${source}: `) ? text.slice(source.length + 2) : text };
}
