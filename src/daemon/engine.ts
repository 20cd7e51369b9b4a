/**
 * The composition root: builds every part from the data root up, in the order of what stands on what, and takes them down in reverse.
 *
 *   database ┬ blobs ─ layers ─ image catalogue ─┐
 *            ├ volumes ──────────────────────────┤
 *            └ networks (net worker) ────────────┤
 *   launcher's cgroup ─ native runtime ──────────┴─ containers ─ builder ─▶ ApiServices
 *
 * What starts threads is begun first, beside the rest. Descriptors: a container takes a few of ours (namespace, DNS, ports); Node itself raises the soft limit to
 * the hard one, which is the service manager's to give.
 */
import { existsSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineEvents } from '../api/engine-events.ts';
import type { ApiServices } from '../api/services.ts';
import { EngineError, errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type ContainerService, createContainers } from '../containers/container-service.ts';
import { leasedWorld } from '../containers/leases/leased-world.ts';
import { Leases } from '../containers/leases/leases.ts';
import { createDevices } from '../devices/create-devices.ts';
import { createGpuReadings } from '../devices/nvml/create-gpu-readings.ts';
import { downloadBlob } from '../distribution/download-blob.ts';
import { createRegistryClient } from '../distribution/http-registry-client.ts';
import { auditImages } from '../images/audit-images.ts';
import { createEmbeddedImages } from '../images/embedded.ts';
import { createImageCatalogue } from '../images/image-catalogue.ts';
import { createTransfers } from '../images/image-transfers.ts';
import { createImageInsight } from '../images/insight.ts';
import type { OwnRegistry } from '../images/push.ts';
import { createRegistryManifests } from '../images/registry-manifests.ts';
import { cgroupFacts } from '../linux/cgroup-facts.ts';
import { type CgroupPlacement, cgroupPlacement, ensureCgroup, removeCgroup } from '../linux/cgroups.ts';
import { removeNamedCgroups } from '../linux/named-hierarchies.ts';
import { peerHasHungUp } from '../linux/peer-hangup.ts';
import type { NetNotice } from '../network/net-calls.ts';
import { type NetWorker, openNetWorker } from '../network/net-worker-client.ts';
import { createNetworks } from '../network/network-service.ts';
import type { NetworkService } from '../network/network-service-options.ts';
import { auditRuntime } from '../runtime/audit-runtime.ts';
import { readOciVersion } from '../runtime/oci-version.ts';
import { type RuntimeNames, runtimeNames } from '../runtime/runtime-names.ts';
import { RuntimeSelection } from '../runtime/runtime-selection.ts';
import { createBlobStore } from '../store/blobs.ts';
import { type Database, openDatabase } from '../store/database.ts';
import type { LayerStore } from '../store/layer-store.ts';
import { createLayerStore, type OpenLayerStore } from '../store/layers.ts';
import { createTreeThreads } from '../store/tree-threads.ts';
import { createVolumes } from '../volumes/volume-service.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { openBuilder } from './build/open-builder.ts';
import { engineVersion } from './build-facts.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { DataRoot } from './data-root.ts';
import { createFsck } from './fsck.ts';
import { hostWithAppArmor } from './host-apparmor.ts';
import { LeaseSockets } from './lease-sockets.ts';
import { leaveOwnCgroups } from './own-cgroup.ts';
import { openDaemonRegistry } from './registry-server/daemon-registry.ts';
import { liveFacts, reloadAttributes, systemFactsOfHost } from './system-facts-of-host.ts';

export interface Engine {
  readonly services: ApiServices & { readonly leaseSockets: LeaseSockets };
  /** For `--live-restore=false`: all at once, each with its own stop signal and time-out, none longer than `timeoutSeconds`. */
  stopContainers(timeoutSeconds: number): Promise<void>;
  /** What a reload changed, for `info` and the events. */
  reloaded(options: DaemonOptions): void;
  /** Whether a client with this address is a container on one of our networks. */
  isContainerAddress(address: string): boolean;
  /** Containers run on. */
  close(): Promise<void>;
}

/** Layers at most that are unpacked while they come: each has a thread of some 10 MB. */
const mostFollowers = 8;

const busyboxPaths = ['/bin/busybox', '/usr/bin/busybox'];

export async function createEngine(options: DaemonOptions, dataRoot: DataRoot, logger: Logger): Promise<Engine> {
  await using cleanup = new AsyncDisposableStack();
  const netWorker = openNetWorker();
  const database = await openDatabase(join(dataRoot.path, 'gantry.db'));
  cleanup.defer(() => database.close());
  // Until it is known what runs, everything of the network stays: a daemon that cannot start must not cut off containers.
  let containersRun = true;
  const opening = {
    networks: openNetworks(netWorker, options, dataRoot, database, logger),
    volumes: createVolumes({ database, dataRoot: dataRoot.path, logger }),
  };
  closeLater(cleanup, opening.volumes, (volumes) => volumes.close());
  closeLater(cleanup, opening.networks, (networks) => networks.close(containersRun));
  const images = await openImages(options, dataRoot, database, logger);
  cleanup.defer(() => images.layers.close());
  cleanup.defer(() => images.client.close());
  cleanup.defer(() => images.threads.close());
  cleanup.defer(() => (containersRun ? undefined : removeIdleCgroups(dataRoot)));
  const runtime = await startRuntime(options, dataRoot, logger);
  const weaknesses: string[] = [];
  const runtimes = namesOf(options, weaknesses, logger);
  cleanup.defer(() => runtime.close());
  const [networks, volumes] = await Promise.all([opening.networks, opening.volumes]);
  const events = joinEvents(images.catalogue, networks, volumes);
  const { host, warnings: appArmorWarnings } = await hostWithAppArmor(logger);
  weaknesses.push(...appArmorWarnings);
  const devices = createDevices(options.devices, {
    readings: createGpuReadings({ driverRoot: options.devices.driverRoot, logger }),
  });
  cleanup.defer(() => devices.readings.close());
  const containers = await createContainers({
    dataRoot: dataRoot.path,
    execRoot: dataRoot.execRoot,
    cgroupParent: `/${dataRoot.globalName}`,
    database,
    images: images.catalogue,
    layers: images.layers,
    runtime,
    runtimes,
    networks,
    volumes,
    devices,
    daemonDns: options.network.dns,
    logDefaults: options.containerLogs,
    onEvent: (event) => events.publish({ ...event, type: 'container' }),
    init: { program: options.initPath ?? nativeProgram('gantry-init'), byDefault: options.init },
    resourceDefaults: options.resources,
    host: options.security.seccomp === null ? host : { ...host, seccomp: options.security.seccomp },
    security: options.security,
    logger,
  });
  cleanup.defer(async () => {
    const { running, paused } = containers.counts();
    containersRun = running + paused > 0;
    await containers.close();
  });
  let { proxies } = options.registries.settings;
  const build = await openBuilder({
    dataRoot: dataRoot.path,
    database,
    store: images.store,
    layers: images.layers,
    transfers: images.transfers,
    registryClient: images.client,
    steps: containers.steps,
    containerLayers: () => containers.layerDirectories(),
    cacheLimitBytes: options.build.cacheLimitBytes,
    proxies: () => proxies,
    logger,
  });
  cleanup.defer(() => build.close());
  const registry = await openDaemonRegistry(options.withRegistry, dataRoot.path, images.store, logger);
  cleanup.defer(() => registry?.close());
  images.useRegistry(registry?.own ?? null);
  images.catalogue.setUsers((id) => containers.imageUsers(id));
  await images.sweepBeside(containers);
  const network = { facts: networks.facts, addressPools: options.network.addressPools, firewall: options.network.firewall };
  const system = systemFactsOfHost(options, dataRoot, cgroupFacts(), network, { names: runtimes, warnings: () => weaknesses });
  const fsck = createFsck({
    audits: [
      () => containers.audit(),
      () => auditRuntimeOf(runtime, dataRoot, containers),
      (audit) => auditImages({ store: images.store, layers: images.layers, containerLayers: layersOfContainers(containers) }, audit),
      () => volumes.audit({ dataRoot: dataRoot.path, execRoot: dataRoot.execRoot }),
      () => networks.audit(),
      () => build.audit(),
    ],
    logger,
  });
  const leases = new Leases(leasedWorld(containers, networks, volumes), logger);
  cleanup.defer(() => leases.close());
  const leaseSockets = new LeaseSockets(dataRoot.execRoot, options.group);
  cleanup.defer(() => leaseSockets.close());
  const services = {
    containers,
    leases,
    leaseSockets,
    images: images.catalogue,
    transfers: images.transfers,
    insight: images.insight,
    manifests: createRegistryManifests(images.client, images.transfers.describe),
    builder: build.builder,
    events,
    system,
    networks,
    volumes,
    devices,
    fsck,
    hasHungUp: peerHasHungUp,
    logger,
  };
  const parts = cleanup.move();
  return {
    services,
    stopContainers: (timeoutSeconds) => stopAll(containers, timeoutSeconds, logger),
    reloaded(options) {
      Object.assign(system, liveFacts(options));
      images.transfers.configure(options.registries);
      ({ proxies } = options.registries.settings);
      registry?.reload();
      events.publish({ type: 'daemon', action: 'reload', id: dataRoot.daemonId, attributes: reloadAttributes(options, system.hostname) });
    },
    isContainerAddress: (address) => networks.hasAddress(address),
    close: () => parts.disposeAsync(),
  };
}

async function openNetworks(
  calls: NetWorker,
  options: DaemonOptions,
  dataRoot: DataRoot,
  database: Database,
  logger: Logger,
): Promise<NetworkService> {
  const early: NetNotice[] = [];
  let tell = (notice: NetNotice): void => void early.push(notice);
  calls.onNotice((notice) => tell(notice));
  const { daemonId, globalName } = dataRoot;
  const service = await createNetworks({ database, calls, settings: options.network, daemonId, globalName, logger });
  tell = (notice) => service.notice(notice);
  early.forEach(tell);
  return service;
}

/** Of what is still being opened; what could not be opened told why where it was awaited. */
function closeLater<T>(cleanup: AsyncDisposableStack, opening: Promise<T>, close: (part: T) => Promise<void>): void {
  const opened = opening.catch(() => null);
  cleanup.defer(async () => {
    const part = await opened;
    if (part !== null) await close(part);
  });
}

async function openImages(options: DaemonOptions, dataRoot: DataRoot, database: Database, logger: Logger) {
  const blobs = await createBlobStore({ root: join(dataRoot.path, 'blobs') });
  const followers = Math.min(options.registries.maxConcurrentDownloads, mostFollowers);
  const layers = createLayerStore({ root: join(dataRoot.path, 'layers'), blobPath: (digest) => blobs.path(digest), followers, logger });
  let containers: ContainerService | null = null;
  let own: OwnRegistry | null = null;
  const swept = sweptLayers(layers, () => containers);
  const { catalogue, store } = await createImageCatalogue({ database, blobs, layers: swept, log: logger });
  const embedded = createEmbeddedImages(store, {
    helloWorld: nativeProgram('hello-world'),
    busybox: busyboxPaths.find(existsSync) ?? null,
  });
  const threads = createTreeThreads();
  const client = createRegistryClient(options.registries.settings, { userAgent: `gantry/${engineVersion}`, logger });
  return {
    catalogue,
    store,
    layers,
    client,
    threads,
    insight: createImageInsight({ store, layers, threads }),
    transfers: createTransfers({ ...options.registries, store, client, download: downloadBlob, embedded, ownRegistry: () => own }),
    useRegistry(registry: OwnRegistry | null) {
      own = registry;
    },
    async sweepBeside(service: ContainerService) {
      containers = service;
      await store.sweeper.sweep();
    },
  };
}

/** A container keeps its layers when its image is gone. Before the containers are known, nothing may be swept. */
function sweptLayers(layers: OpenLayerStore, containers: () => ContainerService | null): LayerStore {
  return {
    unpack: (...parameters) => layers.unpack(...parameters),
    mountOrder: (refs) => layers.mountOrder(refs),
    verify: (...parameters) => layers.verify(...parameters),
    has: (layer) => layers.has(layer),
    async sweep(keep) {
      const service = containers();
      if (service !== null) await layers.sweep(keep.union(service.layerDirectories()));
    },
  };
}

async function auditRuntimeOf(runtime: RuntimeSelection, { execRoot }: DataRoot, containers: ContainerService) {
  const launcher = await runtime.launcher.ensure();
  return await auditRuntime({ execRoot, launcher, serves: (socket) => containers.servesContainer(socket) });
}

function layersOfContainers(containers: ContainerService): ReadonlyMap<string, string> {
  return new Map([...containers.layerDirectories()].map((directory) => [directory, 'a container']));
}

/** Those below the floor of SECURITY.md are told about as soon as the daemon knows; one that is merely installed when a container asks for it. */
function namesOf({ runtimes: { programs, defaultName, chosen } }: DaemonOptions, weaknesses: string[], logger: Logger): RuntimeNames {
  const names = runtimeNames(programs, defaultName, ({ path, args }) => readOciVersion(path, args));
  for (const { name, path } of programs.filter((program) => chosen.includes(program.name))) {
    void names.version(name).then((version) => {
      if (version === null || version.weakness === null) return;
      const text = `the runtime "${name}" (${path}): ${version.weakness}`;
      weaknesses.push(`WARNING: ${text}`);
      logger.warn({ runtime: name, path }, text);
    });
  }
  return names;
}

async function startRuntime(options: DaemonOptions, dataRoot: DataRoot, logger: Logger): Promise<RuntimeSelection> {
  const placement = await ensureCgroup(`/${dataRoot.globalName}/launcher`);
  const launcherPath = nativeProgram('gantry-launcher');
  if (launcherPath === null) {
    throw new EngineError('unavailable', 'the native helper gantry-launcher is not built: run ./gantry once, or make -C native');
  }
  const runtime = new RuntimeSelection(
    { execRoot: dataRoot.execRoot, launcherPath, launcherCgroupFiles: cgroupFiles(placement), logger },
    options.runtimes.programs,
  );
  await runtime.boot();
  return runtime;
}

function cgroupFiles({ joinFiles, v2Directory }: CgroupPlacement): readonly string[] {
  return v2Directory === null ? joinFiles : [...joinFiles, `${v2Directory}/cgroup.procs`];
}

/** The launcher leaves when it has neither monitors nor a daemon; then nothing of ours may stay. While containers run, everything does. */
async function removeIdleCgroups({ globalName }: DataRoot): Promise<void> {
  try {
    await removeCgroup(`/${globalName}/launcher`);
    leaveOwnCgroups(globalName);
    await removeNamedCgroups(`/${globalName}`);
    for (const directory of cgroupPlacement(`/${globalName}`).directories) if (existsSync(directory)) rmdirSync(directory);
  } catch {
    // Somebody is still in there.
  }
}

/** Beside the bundle (`build/`), or seen from the source. */
function nativeProgram(name: string): string | null {
  const places = [`./native/${name}`, `../../build/native/${name}`].map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return places.find(existsSync) ?? null;
}

/** Those of containers come by `onEvent` of their service, which tells them from its very start. */
function joinEvents(catalogue: ApiServices['images'], networks: NetworkService, volumes: Volumes): EngineEvents {
  const events = new EngineEvents();
  catalogue.onEvent(({ action, id, attributes }) => events.publish({ type: 'image', action, id, attributes }));
  networks.onEvent(({ action, id, attributes }) => events.publish({ type: 'network', action, id, attributes }));
  volumes.onEvent(({ action, id, attributes }) => events.publish({ type: 'volume', action, id, attributes }));
  return events;
}

async function stopAll(containers: ContainerService, timeoutSeconds: number, logger: Logger): Promise<void> {
  containers.endRestarts();
  const running = await containers.list({ all: false, limit: null, size: false, filters: {} });
  await Promise.all(
    running.map(async ({ id, config }) => {
      try {
        const own = config.StopTimeout ?? 10;
        const capped = timeoutSeconds < 0 ? own : Math.min(own < 0 ? timeoutSeconds : own, timeoutSeconds);
        await containers.stop(id, { signal: null, timeoutSeconds: capped });
      } catch (error) {
        logger.error({ container: id, error: errorText(error) }, 'the container could not be stopped');
      }
    }),
  );
}
