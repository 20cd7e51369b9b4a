/**
 * SIGHUP: the configuration file is read again. What dockerd takes over without a restart is taken over; for the rest the log says what waits for one. A file with a
 * mistake changes nothing.
 */
import { type DaemonOptions, readDaemonOptions } from './daemon-options.ts';
import { registryOptionTable } from './registry-option-table.ts';

/** Flags whose new value counts at once. */
const liveFlags: ReadonlySet<string> = new Set([
  ...['debug', 'log-level', 'label', 'live-restore', 'shutdown-timeout'],
  ...registryOptionTable.map(({ flag }) => flag),
]);

export interface Reload {
  readonly options: DaemonOptions;
  /** Names of flags. */
  readonly applied: readonly string[];
  readonly needRestart: readonly string[];
}

/** `argv` as the daemon was started with; throws for what a start would refuse. */
export function reloadOptions(argv: readonly string[], before: DaemonOptions, environment: NodeJS.ProcessEnv = {}): Reload {
  const after = readDaemonOptions(argv, environment);
  if (typeof after === 'string') return { options: before, applied: [], needRestart: [] };
  const changed = changedFlags(before.given, after.given);
  const { labels, liveRestore, shutdownTimeoutSeconds, logLevel, registries, given } = after;
  return {
    options: { ...before, labels, liveRestore, shutdownTimeoutSeconds, logLevel, registries, given },
    applied: changed.filter((flag) => liveFlags.has(flag)),
    needRestart: changed.filter((flag) => !liveFlags.has(flag)),
  };
}

function changedFlags(before: DaemonOptions['given'], after: DaemonOptions['given']): readonly string[] {
  const flags = new Set([...before.keys(), ...after.keys()]);
  return [...flags].filter((flag) => JSON.stringify(before.get(flag)) !== JSON.stringify(after.get(flag))).sort();
}
