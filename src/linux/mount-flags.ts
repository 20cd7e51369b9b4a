/** The words of mount options (fstab, OCI specs, `-o`) that are bits of mount(2) and not data of the file system. */
import {
  MS_DIRSYNC,
  MS_LAZYTIME,
  MS_MANDLOCK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
} from './constants.ts';

export interface FlagOption {
  readonly flag: number;
  readonly clear: boolean;
}

const set = (flag: number): FlagOption => ({ flag, clear: false });
const clear = (flag: number): FlagOption => ({ flag, clear: true });

/** Each option and the bit it sets or clears. `mand` is in no kernel since 5.15 but still accepted by mount(8). */
export const flagOptions: ReadonlyMap<string, FlagOption> = new Map([
  ['ro', set(MS_RDONLY)],
  ['rw', clear(MS_RDONLY)],
  ['nosuid', set(MS_NOSUID)],
  ['suid', clear(MS_NOSUID)],
  ['nodev', set(MS_NODEV)],
  ['dev', clear(MS_NODEV)],
  ['noexec', set(MS_NOEXEC)],
  ['exec', clear(MS_NOEXEC)],
  ['sync', set(MS_SYNCHRONOUS)],
  ['async', clear(MS_SYNCHRONOUS)],
  ['dirsync', set(MS_DIRSYNC)],
  ['mand', set(MS_MANDLOCK)],
  ['nomand', clear(MS_MANDLOCK)],
  ['noatime', set(MS_NOATIME)],
  ['atime', clear(MS_NOATIME)],
  ['nodiratime', set(MS_NODIRATIME)],
  ['diratime', clear(MS_NODIRATIME)],
  ['relatime', set(MS_RELATIME)],
  ['norelatime', clear(MS_RELATIME)],
  ['strictatime', set(MS_STRICTATIME)],
  ['nostrictatime', clear(MS_STRICTATIME)],
  ['lazytime', set(MS_LAZYTIME)],
  ['nolazytime', clear(MS_LAZYTIME)],
  ['nosymfollow', set(MS_NOSYMFOLLOW)],
  ['symfollow', clear(MS_NOSYMFOLLOW)],
]);

export const propagationOptions: ReadonlyMap<string, number> = new Map([
  ['private', MS_PRIVATE],
  ['rprivate', MS_PRIVATE | MS_REC],
  ['shared', MS_SHARED],
  ['rshared', MS_SHARED | MS_REC],
  ['slave', MS_SLAVE],
  ['rslave', MS_SLAVE | MS_REC],
  ['unbindable', MS_UNBINDABLE],
  ['runbindable', MS_UNBINDABLE | MS_REC],
]);
