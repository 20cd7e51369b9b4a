/**
 * What the daemon says it is and can, which decides what clients try. The label of a containerd snapshotter stands for what only such daemons of Docker's can and this one can, too: images of
 * several platforms, exports to archives, caches elsewhere, pushes while building, attestations.
 */

import type { WorkerRecord } from '../messages/control.ts';
import type { MessageOf } from '../protobuf/message.ts';

export interface WorkerFacts {
  readonly engineVersion: string;
  readonly architecture: string;
  /** What `--add-host name:host-gateway` means; null: nothing. */
  readonly hostGateway: string | null;
}

/** What `RUN --device` can ask for. */
export interface WorkerDevice {
  /** `vendor.com/class=name` */
  readonly name: string;
  readonly isOpen: boolean;
  readonly annotations: Readonly<Record<string, string>>;
}

/** As dockerd's. */
const workerId = 'moby';

export function workerRecord(facts: WorkerFacts, devices: readonly WorkerDevice[] = []): Partial<MessageOf<typeof WorkerRecord>> {
  const { architecture, hostGateway } = facts;
  const architectures = architecture === 'amd64' ? ['amd64', '386'] : [architecture];
  return {
    id: workerId,
    labels: new Map([
      ['org.mobyproject.buildkit.worker.snapshotter', 'overlayfs'],
      ...(hostGateway === null ? [] : [['org.mobyproject.buildkit.worker.moby.host-gateway-ip', hostGateway] as const]),
    ]),
    platforms: architectures.map((each) => ({ os: 'linux', architecture: each })),
    version: workerVersion(facts),
    cdiDevices: devices.map(({ name, isOpen, annotations }) => ({
      name,
      autoAllow: isOpen,
      annotations: new Map(Object.entries(annotations)),
    })),
  };
}

export function workerVersion({ engineVersion }: WorkerFacts) {
  return { package: 'gantry', version: `v${engineVersion}` };
}

/** What a client that steers the build itself may call and send. */
export const frontendCapabilities = [
  'solve.base',
  'solve.inlinereturn',
  'return',
  'returnmap',
  'importcaches',
  'proto.refarray',
  'frontend.inputs',
  'frontend.caps',
  'gateway.solve.metadata',
  'gateway.solve.evaluate',
  'gateway.evaluate',
  'reference.output',
] as const;

export const buildCapabilities = ['exporter.multiple', 'exporter.image.attestations'] as const;
