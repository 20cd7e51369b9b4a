/** Mount options as fstab, OCI specs and `--tmpfs` write them → MS_* bits, propagation and data. Pure. */
import { MS_RDONLY } from '../linux/constants.ts';
import { flagOptions, propagationOptions } from '../linux/mount-flags.ts';

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
