/** One container in memory: its record, its state, its queue of transitions, and who waits or is attached before it runs. */
import type { ContainerId } from '../base/brand.ts';
import type { AttachRequest } from '../runtime/runtime.ts';
import type { EventSubject } from './container-events.ts';
import type { ContainerPaths } from './container-paths.ts';
import type { ContainerRecord, StoredState } from './container-record.ts';
import { type ContainerState, type LastRun, lastRunOf, storedRun } from './container-state.ts';
import { ExitWaiters } from './exit-waiters.ts';
import type { GivenDevices } from './given-devices.ts';
import { endedHealth, type Health } from './health.ts';
import type { DenialReason } from './lifecycle-queue.ts';
import { logPlan } from './log-config.ts';
import { LogStore } from './log-store.ts';
import { noRestarts, type RestartHistory } from './restart-policy.ts';
import type { StdioRelay } from './stdio-relay.ts';
import type { StopPatience } from './stop-patience.ts';
import { TransitionLane } from './transition-lane.ts';

export interface WaitingAttachment {
  readonly relay: StdioRelay;
  readonly request: AttachRequest;
  /** What was logged before is delivered: the live stream may follow. */
  readonly replayed: Promise<void>;
}

export class Container {
  readonly id: ContainerId;
  readonly paths: ContainerPaths;
  readonly lane: TransitionLane;
  readonly waiters = new ExitWaiters();
  readonly logStore: LogStore;
  /** Attached before the start, in order; they become part of it. */
  readonly waitingAttachments = new Set<WaitingAttachment>();
  state: ContainerState;
  /** An end is being stored before it takes effect: whatever is stored meanwhile must not take it back. */
  storedEnd: { readonly status: StoredState['status']; readonly last: LastRun } | null = null;
  /** Place in the order of creation, given by the registry. */
  sequence = 0;
  /** The monitor of the last run is leaving: the next start and the removal wait for it. */
  released: Promise<void> = Promise.resolve();
  /** Of a stop under way; null when none is. */
  stopPatience: StopPatience | null = null;
  restarts: RestartHistory;
  /** Null: nothing checks it. Of the last run while it does not run. */
  health: Health | null;
  /** What its run has been granted, from before the process is there until all of it is given back; null: nothing. */
  devices: GivenDevices | null;
  #record: ContainerRecord;

  constructor(record: ContainerRecord, paths: ContainerPaths) {
    this.id = record.id;
    this.paths = paths;
    this.logStore = new LogStore(paths.log, logPlan(record.hostConfig.LogConfig).spool?.maxFiles ?? 1);
    this.#record = record;
    const ended = record.state.status === 'exited' || record.state.status === 'restarting';
    this.state = { status: ended ? 'exited' : 'created', last: lastRunOf(record.state) };
    this.restarts = record.state.restarts ?? noRestarts;
    this.health = record.state.health ?? null;
    this.devices = record.state.devices ?? null;
    this.lane = new TransitionLane(
      (reason) => denialText(this.id, reason),
      () => this.stopPatience?.shorten(0),
    );
  }

  /** As it is to be stored now. */
  get record(): ContainerRecord {
    const { status, last } = this.storedEnd ?? this.state;
    const health = this.health === null ? {} : { health: this.storedEnd === null ? this.health : endedHealth(this.health) };
    const removal = this.state.status === 'removing' && this.state.volumes ? { removesVolumes: true as const } : {};
    const kept = this.state.status === 'running' && this.state.process.kept.pid > 0 ? { kept: this.state.process.kept } : {};
    const devices = this.devices === null ? {} : { devices: this.devices };
    return { ...this.#record, state: { ...storedRun(status, last), restarts: this.restarts, ...health, ...removal, ...kept, ...devices } };
  }

  get name(): string {
    return this.#record.name;
  }

  get config(): ContainerRecord['config'] {
    return this.#record.config;
  }

  get hostConfig(): ContainerRecord['hostConfig'] {
    return this.#record.hostConfig;
  }

  get imageReference(): string {
    return this.#record.imageReference;
  }

  get labels(): EventSubject['labels'] {
    return this.#record.config.Labels;
  }

  /** In memory; the caller stores the record. Returns what puts it back. */
  change(change: Partial<Pick<ContainerRecord, 'name' | 'hostConfig' | 'networks'>>): () => void {
    const { name, hostConfig, networks } = this.#record;
    this.#record = { ...this.#record, ...change };
    return () => {
      this.#record = { ...this.#record, name, hostConfig, networks };
    };
  }
}

function denialText(id: string, reason: DenialReason): string {
  switch (reason) {
    case 'removal-in-progress':
      return `removal of container ${id} is already in progress`;
    case 'too-many-transitions':
      return `too many starts, stops and restarts are waiting for container ${id}; try again when they are done`;
  }
}
