/** What the verbs of containers work with; put together once by `container-service.ts`. */
import type { Logger } from '../base/log.ts';
import type { Devices } from '../devices/devices.ts';
import type { ImageCatalogue } from '../images/catalogue.ts';
import type { DnsWishes, Networks } from '../network/networks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeNames } from '../runtime/runtime-names.ts';
import type { OpenLayerStore } from '../store/layers.ts';
import type { Volumes } from '../volumes/volumes.ts';
import type { ContainerEvents } from './container-events.ts';
import type { ContainerRecords } from './container-record.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { Execs } from './exec-registry.ts';
import type { GpuWatch } from './gpu-watch.ts';
import type { HealthWatch } from './health-watch.ts';
import type { HostFacts } from './host-facts.ts';
import type { HostPaths } from './host-paths.ts';
import type { IdRanges } from './id-ranges.ts';
import type { InitProgram } from './init-program.ts';
import type { LogConfig } from './log-config.ts';
import type { LogDelivery } from './log-delivery.ts';
import type { OomWatch } from './oom-watch.ts';
import type { ResourceDefaults } from './resource-defaults.ts';
import type { Restarts } from './restarts.ts';
import type { SecurityDefaults } from './security-defaults.ts';
import type { StepsBeside } from './steps/step.ts';
import type { UsageCollector } from './usage-collector.ts';
import type { VolumeClaims } from './volume-claims.ts';

export interface ContainerContext {
  /** Directory that holds one directory per container. */
  readonly root: string;
  /** Below each controller's mount, starting with `/`; containers get a directory in it. */
  readonly cgroupParent: string;
  /** Directory with one entry per container that the runtime knows. */
  readonly runtimeEntries: string;
  readonly registry: ContainerRegistry;
  readonly records: ContainerRecords;
  readonly events: ContainerEvents;
  readonly execs: Execs;
  readonly restarts: Restarts;
  readonly health: HealthWatch;
  readonly runtime: Runtime;
  readonly runtimes: RuntimeNames;
  readonly images: ImageCatalogue;
  readonly layers: OpenLayerStore;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly volumeClaims: VolumeClaims;
  readonly devices: Devices;
  readonly usage: UsageCollector;
  readonly gpuWatch: GpuWatch;
  readonly oom: OomWatch;
  readonly hostPaths: HostPaths;
  /** `--dns` and its like of the daemon: for containers that do not say it themselves. */
  readonly daemonDns: DnsWishes;
  readonly init: InitProgram;
  /** `--log-driver` and `--log-opt` of the daemon. */
  readonly logDefaults: LogConfig;
  readonly logs: LogDelivery;
  /** Of builds: the runtime knows their processes as it knows those of containers. */
  readonly steps: StepsBeside;
  readonly host: HostFacts;
  readonly security: SecurityDefaults;
  readonly idRanges: IdRanges;
  readonly resourceDefaults: ResourceDefaults;
  readonly logger: Logger;
}
