/**
 * Containers: the verbs of the contract (`containers.ts`), each a few lines that find the container and hand over to the file named after the verb.
 *
 * Transitions (start, stop, restart, rename, remove) go through the container's lane, one at a time; everything else passes it by.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ContainerId, ImageId } from '../base/brand.ts';
import { conflict, EngineError, errorText, invalid } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { Finding } from '../base/finding.ts';
import type { Logger } from '../base/log.ts';
import { noDevices } from '../devices/create-devices.ts';
import type { Devices } from '../devices/devices.ts';
import type { ImageCatalogue, ImageUser } from '../images/catalogue.ts';
import type { NetworkService } from '../network/network-service-options.ts';
import type { DnsWishes, Networks } from '../network/networks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeNames } from '../runtime/runtime-names.ts';
import type { Database } from '../store/database.ts';
import type { OpenLayerStore } from '../store/layers.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { adoptContainers } from './adopt-containers.ts';
import { attachContainer } from './attach-container.ts';
import { auditContainers, servesContainer } from './audit-containers.ts';
import { changePorts, connectNetwork, disconnectNetwork } from './change-networks.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { adoptDevices } from './container-devices.ts';
import { ContainerEvents } from './container-events.ts';
import { listMatcher, pruneMatcher } from './container-filters.ts';
import { imageMountsOf } from './container-mounts.ts';
import { usesNetwork } from './container-networks.ts';
import { ContainerRecords } from './container-record.ts';
import { ContainerRegistry } from './container-registry.ts';
import { isUp, requireRunning, waitResultOf } from './container-state.ts';
import { containerStats } from './container-stats.ts';
import { containerView } from './container-view.ts';
import { volumeUsers } from './container-volumes.ts';
import type { ContainerEvent, Containers, ListOptions, Readiness, StopOptions, WaitResult } from './containers.ts';
import { createContainer } from './create-container.ts';
import { directorySize } from './directory-size.ts';
import { createExec, startExec } from './exec-container.ts';
import { Execs, execView } from './exec-registry.ts';
import type { WaitCondition } from './exit-waiters.ts';
import { ContainerFiles } from './files/container-files.ts';
import { GpuWatch } from './gpu-watch.ts';
import { probeHealth } from './health-probe.ts';
import { HealthWatch } from './health-watch.ts';
import type { HostFacts } from './host-facts.ts';
import { HostPaths } from './host-paths.ts';
import { IdRanges } from './id-ranges.ts';
import type { InitProgram } from './init-program.ts';
import { listProcesses } from './list-processes.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { LogDelivery } from './log-delivery.ts';
import { OomWatch } from './oom-watch.ts';
import { isPaused, pauseContainer, refusePaused, unpauseContainer } from './pause-container.ts';
import { readLogs } from './read-logs.ts';
import { removeContainer, runningConflict } from './remove-container.ts';
import { noResourceDefaults, type ResourceDefaults } from './resource-defaults.ts';
import { startAgain, startWithDaemon } from './restart-container.ts';
import { Restarts } from './restarts.ts';
import type { SecurityDefaults } from './security-defaults.ts';
import { parseSignal } from './signals.ts';
import { startContainer } from './start-container.ts';
import type { StepRunner } from './steps/step.ts';
import { Steps } from './steps/steps.ts';
import { killContainer, killRestarting, stopContainer, stopSignal, stopTimeoutMs } from './stop-container.ts';
import { updateContainer } from './update-container.ts';
import { UsageCollector } from './usage-collector.ts';
import { usageTables } from './usage-table.ts';
import { validateContainerName } from './validate-create.ts';
import { VolumeClaims } from './volume-claims.ts';
import { waitUntilReady } from './wait-until-ready.ts';

export interface ContainerDependencies {
  /** `<data-root>/containers` is ours. */
  readonly dataRoot: string;
  /** `<exec-root>/c` holds one entry per container that the runtime knows. */
  readonly execRoot: string;
  /** Below each controller's mount: `/gantry` or `/gantry-<id>`. */
  readonly cgroupParent: string;
  readonly database: Database;
  readonly images: ImageCatalogue;
  readonly layers: OpenLayerStore;
  readonly runtime: Runtime;
  readonly runtimes: RuntimeNames;
  readonly networks: Networks & Pick<NetworkService, 'setContainerLookup'>;
  readonly volumes: Volumes;
  /** Default: there are none. */
  readonly devices?: Devices;
  /** The daemon's `--dns`, `--dns-search` and `--dns-opt`. */
  readonly daemonDns: DnsWishes;
  readonly init: InitProgram;
  readonly host: HostFacts;
  readonly security: SecurityDefaults;
  /** Default: Docker's. */
  readonly resourceDefaults?: ResourceDefaults;
  /** Log driver and options of containers that do not say them; default: json-file. */
  readonly logDefaults?: LogConfig;
  /** Told from the start on: what ended while no daemon ran is found out before the service is there to be listened to. */
  readonly onEvent?: (event: ContainerEvent) => void;
  readonly logger: Logger;
}

export interface ContainerService extends Containers {
  /** Processes of builds. What a killed daemon left of them is gone when the service is there. */
  readonly steps: StepRunner;
  /** For `ImageCatalogue.setUsers`. */
  imageUsers(id: ImageId): readonly ImageUser[];
  /** Layer directories that containers stand on, for `LayerStore.sweep`. */
  layerDirectories(): ReadonlySet<string>;
  /** The daemon leaves and stops its containers: none is started again, and no stop is remembered as somebody's wish. */
  endRestarts(): void;
  audit(): Promise<readonly Finding[]>;
  /** Whether the monitor of this socket (`m/<16 hex>`) is one of ours. */
  servesContainer(socketName: string): boolean;
  /** Containers run on. */
  close(): Promise<void>;
}

/** Takes over what ran before; resolves when every container's state is known. */
export async function createContainers(dependencies: ContainerDependencies): Promise<ContainerService> {
  const root = join(dependencies.dataRoot, 'containers');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const adopted = Promise.withResolvers<void>();
  const runtimeEntries = join(dependencies.execRoot, 'c');
  const resourceDefaults = dependencies.resourceDefaults ?? noResourceDefaults;
  const devices = dependencies.devices ?? noDevices;
  const stepsRoot = join(dependencies.dataRoot, 'build', 'steps');
  const steps = new Steps({ ...dependencies, devices, runtimeEntries, resourceDefaults, root: stepsRoot });
  const context: ContainerContext = {
    ...dependencies,
    root,
    steps,
    runtimeEntries,
    registry: new ContainerRegistry(),
    idRanges: new IdRanges(dependencies.security.idPool),
    records: new ContainerRecords(dependencies.database),
    events: new ContainerEvents(),
    execs: new Execs(),
    logDefaults: dependencies.logDefaults ?? defaultLogConfig,
    logs: new LogDelivery(dependencies.logger),
    health: new HealthWatch({
      probe: (container, check) => probeHealth(context, container, check),
      store: (container) => context.records.update(container.record),
      emit: (action, container) => context.events.emit(action, container),
      logger: dependencies.logger,
    }),
    restarts: new Restarts(async (container, waited) => {
      await adopted.promise;
      await startAgain(context, container, waited);
    }),
    volumeClaims: new VolumeClaims(),
    devices,
    usage: new UsageCollector(),
    gpuWatch: new GpuWatch(devices.readings),
    oom: new OomWatch(dependencies.logger),
    hostPaths: new HostPaths(),
    resourceDefaults,
  };
  dependencies.volumes.setUsers(volumeUsers(context.registry, context.volumeClaims));
  tellNetworks(dependencies.networks, context.registry);
  if (dependencies.onEvent !== undefined) context.events.listen(dependencies.onEvent);
  const unknown = await adoptContainers(context);
  await steps.recover();
  adopted.resolve();
  void startWithDaemon(context, unknown);
  return new Service(context, steps);
}

/** Networks ask who uses them, and whom a link means. */
function tellNetworks(networks: ContainerDependencies['networks'], registry: ContainerRegistry): void {
  networks.setUsers((id, name) =>
    registry
      .all()
      .filter(({ record }) => usesNetwork(record, { id, name }))
      .map((container) => container.id),
  );
  networks.setContainerLookup((reference) => registry.find(reference)?.id ?? null);
}

class Service implements ContainerService {
  readonly #context: ContainerContext;
  readonly #files: ContainerFiles;
  readonly steps: StepRunner;

  constructor(context: ContainerContext, steps: StepRunner) {
    this.#context = context;
    this.steps = steps;
    this.#files = new ContainerFiles(context);
  }

  create(request: Parameters<Containers['create']>[0]) {
    return createContainer(this.#context, request);
  }

  async start(reference: string) {
    const container = this.#find(reference);
    return await container.lane.submit({
      kind: 'start',
      force: false,
      run: () => startContainer(this.#context, container),
      joined: () => 'already-running' as const,
    });
  }

  async stop(reference: string, options: StopOptions) {
    const container = this.#find(reference);
    stopSignal(container, options);
    if (!isUp(container.state) && container.lane.idle) return 'already-stopped';
    // A stop that joins one under way may be in more of a hurry.
    container.stopPatience?.shorten(stopTimeoutMs(container, options));
    return await container.lane.submit({ kind: 'stop', force: false, run: () => stopContainer(this.#context, container, options) });
  }

  async restart(reference: string, options: StopOptions) {
    const container = this.#find(reference);
    stopSignal(container, options);
    await container.lane.submit({ kind: 'restart', force: false, run: () => this.#restart(container, options) });
  }

  async #restart(container: Container, options: StopOptions): Promise<void> {
    if (container.state.status === 'running') container.state.restarting = true;
    await stopContainer(this.#context, container, options);
    await startContainer(this.#context, container);
    this.#context.events.emit('restart', container);
  }

  async kill(reference: string, signal: string) {
    const number = parseSignal(signal === '' ? 'KILL' : signal);
    try {
      const container = this.#find(reference);
      if (container.state.status !== 'restarting') return await killContainer(this.#context, container, number);
      await container.lane.submit({ kind: 'kill', force: false, run: () => killRestarting(this.#context, container, number) });
    } catch (error) {
      throw prefixed(`Cannot kill container: ${reference}: `, error);
    }
  }

  async pause(reference: string) {
    await pauseContainer(this.#context, this.#find(reference));
  }

  async unpause(reference: string) {
    await unpauseContainer(this.#context, this.#find(reference));
  }

  async update(reference: string, update: Parameters<Containers['update']>[1]) {
    const container = this.#find(reference);
    const run = () => updateContainer(this.#context, container, update);
    return await container.lane.submit({ kind: 'update', force: false, run });
  }

  async rename(reference: string, given: string) {
    const container = this.#find(reference);
    if (given === '') throw invalid('Neither old nor new names may be empty');
    const name = validateContainerName(given);
    if (name === container.name) throw invalid('Renaming a container with the same name as its current name');
    await container.lane.submit({ kind: 'rename', force: false, run: () => this.#rename(container, name) });
  }

  async #rename(container: Container, name: string): Promise<void> {
    const { registry, records, events } = this.#context;
    try {
      registry.reserveName(name, container.id);
    } catch (error) {
      throw prefixed('Error when allocating new name: ', error);
    }
    const oldName = container.name;
    const undo = container.change({ name });
    try {
      await records.update(container.record, 'full');
    } catch (error) {
      undo();
      registry.releaseName(name, container.id);
      throw error;
    }
    failpoint('rename.recorded');
    await this.#renameInNetworks(container, name);
    registry.releaseName(oldName, container.id);
    adoptDevices(this.#context, container);
    events.emit('rename', container, { oldName: `/${oldName}` });
  }

  /** The name is stored: that a network keeps answering the old one is no reason to take it back. */
  async #renameInNetworks(container: Container, name: string): Promise<void> {
    if (this.#context.networks.sandbox(container.id) === null) return;
    try {
      await this.#context.networks.rename(container.id, name);
    } catch (error) {
      this.#context.logger.error(
        { container: container.id, error: errorText(error) },
        "cannot give a container's new name to its networks",
      );
    }
  }

  async remove(reference: string, options: { readonly force: boolean; readonly volumes: boolean }) {
    const container = this.#find(reference);
    if (isUp(container.state) && !options.force) throw runningConflict(container);
    await container.lane.submit({ kind: 'remove', force: options.force, run: () => removeContainer(this.#context, container, options) });
  }

  async prune(filters: Parameters<Containers['prune']>[0]) {
    const matches = pruneMatcher(filters, this.#context);
    const removed: ContainerId[] = [];
    let reclaimedBytes = 0;
    for (const container of this.#context.registry.all()) {
      if (!['created', 'exited', 'dead'].includes(container.state.status) || !matches(container)) continue;
      const sizeBytes = await directorySize(container.paths.upper);
      if (!(await this.#removeIfStopped(container))) continue;
      removed.push(container.id);
      reclaimedBytes += sizeBytes;
    }
    this.#context.events.emitPrune(reclaimedBytes);
    return { removed, reclaimedBytes };
  }

  /** Somebody may have started or removed it since it was listed: no reason to fail a prune. */
  async #removeIfStopped(container: Container): Promise<boolean> {
    try {
      await container.lane.submit({
        kind: 'remove',
        force: false,
        run: () => removeContainer(this.#context, container, { force: false, volumes: false }),
      });
      return true;
    } catch (error) {
      if (error instanceof EngineError && error.code === 'conflict') return false;
      throw error;
    }
  }

  async wait(reference: string, condition: WaitCondition, signal: AbortSignal): Promise<{ readonly exit: Promise<WaitResult> }> {
    const container = this.#find(reference);
    if (condition === 'not-running' && !isUp(container.state)) {
      return { exit: Promise.resolve(waitResultOf(container.state.last)) };
    }
    const exit = container.waiters.add(condition, signal);
    // A client that leaves before the end is nobody's unhandled error.
    exit.catch(() => {});
    return { exit };
  }

  async waitUntilReady(reference: string, readiness: Readiness, signal: AbortSignal) {
    return await waitUntilReady(this.#context, this.#find(reference), readiness, signal);
  }

  async attach(reference: string, options: Parameters<Containers['attach']>[1]) {
    const container = this.#find(reference);
    refusePaused(container, `container ${reference}`, 'attach');
    if (container.state.status === 'restarting') {
      throw conflict(`container ${reference} is restarting, wait until the container is running`);
    }
    return await attachContainer(this.#context, container, options);
  }

  async resize(reference: string, rows: number, columns: number) {
    const container = this.#find(reference);
    await requireRunning(container.id, container.state).process.resize(rows, columns);
    this.#context.events.emit('resize', container, { height: String(rows), width: String(columns) });
  }

  async logs(reference: string, options: Parameters<Containers['logs']>[1], signal: AbortSignal) {
    return readLogs(this.#find(reference), options, signal);
  }

  async processes(reference: string, psArguments: string) {
    const container = this.#find(reference);
    const listed = await listProcesses(this.#context, container, psArguments);
    this.#context.events.emit('top', container);
    return listed;
  }

  usage(signal: AbortSignal) {
    return usageTables(this.#context, signal);
  }

  stats(reference: string, options: Parameters<Containers['stats']>[1], signal: AbortSignal) {
    return containerStats(this.#context, this.#find(reference), options, signal);
  }

  async inspect(reference: string, options: { readonly size?: boolean } = {}) {
    return await containerView(this.#context, this.#find(reference), options.size === true);
  }

  async list({ all, limit, size, filters }: ListOptions) {
    const matches = listMatcher(filters, this.#context);
    const everyState = all || limit !== null || (filters.status ?? []).length > 0;
    const newestFirst = this.#context.registry.all().toReversed();
    const found = newestFirst.filter((container) => (everyState || isUp(container.state)) && matches(container));
    return await Promise.all(found.slice(0, limit ?? found.length).map((container) => containerView(this.#context, container, size)));
  }

  async createExec(reference: string, config: Parameters<Containers['createExec']>[1]) {
    const container = this.#find(reference);
    refusePaused(container, `Container ${reference}`, 'exec');
    return createExec(this.#context, container, config);
  }

  async startExec(id: string, options: Parameters<Containers['startExec']>[1]) {
    return await startExec(this.#context, this.#context.execs.get(id), options);
  }

  async resizeExec(id: string, rows: number, columns: number) {
    const { state } = this.#context.execs.get(id);
    if (state.kind !== 'running') throw conflict(`cannot resize exec ${id}: it is not running`);
    await state.process.resize(rows, columns);
  }

  inspectExec(id: string) {
    return execView(this.#context.execs.get(id));
  }

  async connectNetwork(reference: string, network: string, settings: Parameters<Containers['connectNetwork']>[2]) {
    const container = this.#find(reference);
    await this.#changeNetwork(container, () => connectNetwork(this.#context, container, network, settings));
  }

  async disconnectNetwork(reference: string, network: string, options: { readonly force: boolean }) {
    const container = this.#context.registry.find(reference);
    if (container === null && options.force) return;
    const found = container ?? this.#find(reference);
    await this.#changeNetwork(found, () => disconnectNetwork(this.#context, found, network, options));
  }

  async changePorts(reference: string, change: Parameters<Containers['changePorts']>[1]) {
    const container = this.#find(reference);
    await this.#changeNetwork(container, () => changePorts(this.#context, container, change));
  }

  async #changeNetwork(container: Container, run: () => Promise<void>): Promise<void> {
    await container.lane.submit({ kind: 'network', force: false, run });
  }

  async statPath(reference: string, path: string) {
    return await this.#files.statPath(this.#find(reference), reference, path);
  }

  async readPath(reference: string, path: string) {
    return await this.#files.readPath(this.#find(reference), reference, path);
  }

  async writePath(reference: string, path: string, archive: Readable, options: Parameters<Containers['writePath']>[3]) {
    await this.#files.writePath(this.#find(reference), reference, path, archive, options);
  }

  async export(reference: string) {
    return await this.#files.export(this.#find(reference));
  }

  async changes(reference: string) {
    return await this.#files.changes(this.#find(reference));
  }

  async commit(reference: string, options: Parameters<Containers['commit']>[1]) {
    return await this.#files.commit(this.#find(reference), options);
  }

  onEvent(listener: Parameters<Containers['onEvent']>[0]) {
    return this.#context.events.listen(listener);
  }

  counts() {
    const all = this.#context.registry.all();
    const alive = all.filter(({ state }) => state.status === 'running').length;
    const paused = all.filter(isPaused).length;
    return { running: alive - paused, paused, stopped: all.length - alive };
  }

  imageUsers(id: ImageId): readonly ImageUser[] {
    return this.#context.registry.all().flatMap((container) => {
      const { record, state } = container;
      const mounted = imageMountsOf(record.mounts).find(({ imageId }) => imageId === id);
      const reference = record.imageId === id ? record.imageReference : mounted?.image;
      return reference === undefined ? [] : [{ containerId: container.id, running: isUp(state), reference }];
    });
  }

  networkUsers(id: string, name: string): readonly ContainerId[] {
    const network = { id, name };
    return this.#context.registry
      .all()
      .filter(({ record }) => usesNetwork(record, network))
      .map((container) => container.id);
  }

  findId(reference: string): ContainerId | null {
    return this.#context.registry.find(reference)?.id ?? null;
  }

  layerDirectories(): ReadonlySet<string> {
    const layersOf = ({ record }: Container) => [...record.layers, ...imageMountsOf(record.mounts).flatMap(({ layers }) => layers)];
    return new Set(this.#context.registry.all().flatMap((container) => layersOf(container).map(({ directory }) => directory)));
  }

  endRestarts(): void {
    this.#context.restarts.end();
  }

  audit() {
    return auditContainers(this.#context);
  }

  servesContainer(socketName: string): boolean {
    return servesContainer(this.#context, socketName);
  }

  async close(): Promise<void> {
    await this.#context.logs.close();
    this.#context.restarts.close();
    this.#context.health.close();
    this.#context.oom.close();
    this.#context.execs.close();
    await this.#context.hostPaths.close();
  }

  #find(reference: string): Container {
    return this.#context.registry.resolve(reference);
  }
}

function prefixed(prefix: string, error: unknown): unknown {
  return error instanceof EngineError
    ? new EngineError(error.code, prefix + error.message, { cause: error, details: error.details })
    : error;
}
