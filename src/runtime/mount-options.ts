/** Mount options as fstab, OCI specs and `--tmpfs` write them → MS_* bits, propagation and data. Pure. */
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
} from '../linux/constants.ts';

export interface MountOptions {
  /** MS_RDONLY, MS_NOSUID, …; no MS_BIND, no propagation. */
  readonly flags: number;
  /** MS_PRIVATE, MS_SLAVE, … with MS_REC or not; 0: not given. */
  readonly propagation: number;
  readonly bind: 'no' | 'bind' | 'rbind';
  readonly recursiveReadOnly: boolean;
  readonly copyUp: boolean;
  /** What the file system itself understands, in order. */
  readonly data: readonly string[];
}

interface FlagOption {
  readonly flag: number;
  readonly clear: boolean;
}

const set = (flag: number): FlagOption => ({ flag, clear: false });
const clear = (flag: number): FlagOption => ({ flag, clear: true });

/** Each option and the bit it sets or clears. `mand` is in no kernel since 5.15 but still accepted by mount(8). */
const flagOptions: ReadonlyMap<string, FlagOption> = new Map([
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

const propagationOptions: ReadonlyMap<string, number> = new Map([
  ['private', MS_PRIVATE],
  ['rprivate', MS_PRIVATE | MS_REC],
  ['shared', MS_SHARED],
  ['rshared', MS_SHARED | MS_REC],
  ['slave', MS_SLAVE],
  ['rslave', MS_SLAVE | MS_REC],
  ['unbindable', MS_UNBINDABLE],
  ['runbindable', MS_UNBINDABLE | MS_REC],
]);

export function parseMountOptions(options: readonly string[]): MountOptions {
  let [flags, propagation, recursiveReadOnly, copyUp] = [0, 0, false, false];
  let bind: MountOptions['bind'] = 'no';
  const data: string[] = [];
  for (const option of options) {
    const flag = flagOptions.get(option);
    const mode = propagationOptions.get(option);
    if (flag !== undefined) flags = flag.clear ? flags & ~flag.flag : flags | flag.flag;
    else if (mode !== undefined) propagation = mode;
    else if (option === 'bind' || option === 'rbind') bind = option;
    else if (option === 'rro') [flags, recursiveReadOnly] = [flags | MS_RDONLY, true];
    else if (option === 'tmpcopyup') copyUp = true;
    // A fresh devpts has been an instance of its own since kernel 4.7.
    else if (option !== 'defaults' && option !== 'newinstance' && option !== '') data.push(option);
  }
  return { flags, propagation, bind, recursiveReadOnly, copyUp, data };
}

/** The propagation named in an OCI `rootfsPropagation` or mount option; null when it is none. */
export function propagationFlags(name: string): number | null {
  return propagationOptions.get(name) ?? null;
}

const tmpfsData: ReadonlySet<string> = new Set(['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol']);

/**
 * Options of a tmpfs, later ones winning over earlier ones of the same kind, in the order given. Returns the first option that no tmpfs has instead,
 * so that the caller can refuse it.
 */
export function mergeTmpfsOptions(options: readonly string[]): { readonly merged: readonly string[] } | { readonly unknown: string } {
  const seen = new Set<string>();
  const merged: string[] = [];
  for (const option of options.toReversed()) {
    if (option === 'defaults' || option === '') continue;
    const kind = tmpfsOptionKind(option);
    if (kind === null) return { unknown: option };
    if (!seen.has(kind)) merged.unshift(option);
    seen.add(kind);
  }
  return { merged };
}

/** Options of one kind exclude each other: `exec` and `noexec`, all propagations, `size=1m` and `size=2m`. */
function tmpfsOptionKind(option: string): string | null {
  const flag = flagOptions.get(option);
  if (flag !== undefined) return `flag ${flag.flag}`;
  if (propagationOptions.has(option)) return 'propagation';
  const equals = option.indexOf('=');
  const name = equals === -1 ? '' : option.slice(0, equals);
  return tmpfsData.has(name) ? name : null;
}
