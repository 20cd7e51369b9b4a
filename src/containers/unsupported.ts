/**
 * What Docker's API has and Gantry has not yet: one row a field, with the predicate "asks for something" and what brings it. A field at its default is
 * never refused, so that clients which send every field work; a field that asks for something is refused by name, never ignored.
 */
import { notImplemented } from '../base/errors.ts';
import type { ContainerConfig, HostConfig } from './config.ts';

interface UnsupportedField {
  /** As in the API, with the CLI's flag. */
  readonly field: string;
  /** Completes "... not supported yet: ". */
  readonly brings: string;
  readonly asked: (config: ContainerConfig, hostConfig: HostConfig) => boolean;
}

const quotas =
  'a quota for the files of a container needs a data root on xfs with project quotas (pquota), which Gantry does not set; limit the data root, or use --tmpfs with a size';
const windows = 'it exists on Windows only';

const entries = (map: object | null | undefined): boolean => Object.keys(map ?? {}).length > 0;

export const unsupportedFields: readonly UnsupportedField[] = [
  { field: 'HostConfig.Cgroup', brings: 'joining the cgroup of another container is not planned', asked: (_, { Cgroup }) => Cgroup !== '' },
  { field: 'HostConfig.StorageOpt (--storage-opt)', brings: quotas, asked: (_, { StorageOpt }) => entries(StorageOpt) },
  { field: 'HostConfig.CpuCount (--cpu-count)', brings: windows, asked: (_, { CpuCount }) => CpuCount !== 0 },
  { field: 'HostConfig.CpuPercent (--cpu-percent)', brings: windows, asked: (_, { CpuPercent }) => CpuPercent !== 0 },
  { field: 'HostConfig.IOMaximumIOps (--io-maxiops)', brings: windows, asked: (_, { IOMaximumIOps }) => IOMaximumIOps !== 0 },
  { field: 'HostConfig.IOMaximumBandwidth (--io-maxbandwidth)', brings: windows, asked: (_, h) => h.IOMaximumBandwidth !== 0 },
];

/** Throws for the first row that is asked for. */
export function refuseUnsupported(config: ContainerConfig, hostConfig: HostConfig): void {
  const row = unsupportedFields.find(({ asked }) => asked(config, hostConfig));
  if (row !== undefined) throw notImplemented(`${row.field} is not supported yet: ${row.brings}`, { details: { field: row.field } });
}
