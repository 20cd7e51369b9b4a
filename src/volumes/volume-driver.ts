/** What a driver does for the service: `local` is built in, others are plugins behind HTTP. */
import type { VolumeRecord } from './volume-records.ts';

export interface DriverFacts {
  /** '' when the driver does not say. */
  readonly mountpoint: string;
  readonly status: Readonly<Record<string, unknown>> | null;
  readonly createdAt: Date | null;
}

export interface VolumeDriver {
  readonly name: string;
  readonly scope: 'local' | 'global';
  /** The host path of the content. `id` names this one mount, and undoes it. */
  mount(record: VolumeRecord, id: string): Promise<string>;
  unmount(record: VolumeRecord, id: string): Promise<void>;
  /** Null: the driver knows no such volume. */
  facts(name: string): Promise<DriverFacts | null>;
}
