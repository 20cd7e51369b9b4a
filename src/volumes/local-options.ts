/**
 * `--opt type= device= o=` of local volumes, as mount(8) spells them, → calls of mount(2). Pure, but for names of servers, which the caller resolves.
 */
import { isIP } from 'node:net';
import { invalid } from '../base/errors.ts';
import { MS_BIND, MS_REC, MS_REMOUNT } from '../linux/constants.ts';
import type { MountCall } from '../linux/mount-calls.ts';
import { flagOptions, propagationOptions } from '../linux/mount-flags.ts';

export interface LocalMount {
  readonly type: string;
  readonly device: string;
  /** Of `o=`. */
  readonly options: readonly string[];
}

const known = new Set(['type', 'device', 'o', 'size']);
/** Each needs the others. */
const needed: Readonly<Record<string, readonly string[]>> = { device: ['type'], type: ['device'], o: ['device', 'type'] };

/** Null: no options, a plain directory. */
export function parseLocalOptions(options: Readonly<Record<string, string>>): LocalMount | null {
  const names = Object.keys(options);
  for (const name of names) if (!known.has(name)) throw invalid(`invalid option: ${JSON.stringify(name)}`);
  for (const name of names) {
    const missing = needed[name]?.find((other) => !names.includes(other));
    if (missing !== undefined) throw invalid(`missing required option: ${JSON.stringify(missing)}`);
  }
  if (names.includes('size')) {
    throw invalid(
      'quota size requested but no quota support: a size limit needs project quotas, which Gantry does not set; a tmpfs takes one as o=size=…',
    );
  }
  if (options.device === undefined) return null;
  if (options.device === '') throw invalid('missing device in volume options');
  if (names.some((name) => options[name]?.includes('\0'))) throw invalid('a volume option holds a NUL byte');
  return { type: options.type ?? '', device: options.device, options: (options.o ?? '').split(',').filter((word) => word !== '') };
}

export function mountCallsOf(mount: LocalMount, target: string): readonly MountCall[] {
  const words = wordsOf(mount.options);
  const calls: MountCall[] = [];
  if (words.bind === 0) {
    calls.push({ source: mount.device, target, type: mount.type, flags: words.flags, data: words.data.join(',') });
  } else {
    calls.push({ source: mount.device, target, type: '', flags: words.bind, data: '' });
    // The kernel takes no flags together with a new bind mount.
    if (words.flags !== 0) calls.push({ source: '', target, type: '', flags: MS_REMOUNT | MS_BIND | words.flags, data: '' });
  }
  if (words.propagation !== 0) calls.push({ source: '', target, type: '', flags: words.propagation, data: '' });
  return calls;
}

/** The server that the kernel wants as a number: in `addr=` or the device of NFS, in the device of CIFS. Null: none, or it is in place already. */
export function serverOf(mount: LocalMount): string | null {
  if (mount.type === 'cifs') return unlessNumber(cifsHost(mount.device));
  if (!isNfs(mount)) return null;
  const address = mount.options.find((option) => option.startsWith('addr='))?.slice('addr='.length);
  return address === undefined ? nfsHost(mount.device) : unlessNumber(address);
}

export function withServerAddress(mount: LocalMount, address: string): LocalMount {
  if (mount.type === 'cifs') {
    const host = cifsHost(mount.device) ?? '';
    return { ...mount, device: mount.device.replace(host, () => address) };
  }
  const others = mount.options.filter((option) => !option.startsWith('addr='));
  return { ...mount, options: [...others, `addr=${address}`] };
}

/** For messages: a password must not get into logs. */
export function printableData(data: string): string {
  return data.replace(/\b(password2?|pass)=[^,]*/g, '$1=********');
}

function isNfs(mount: LocalMount): boolean {
  return mount.type === 'nfs' || mount.type === 'nfs4';
}

/** `host:/path`, `[2001:db8::1]:/path`; in Docker's spelling, `:/path` beside an `addr=`, there is none. */
function nfsHost(device: string): string | null {
  return (
    /^(?:\[([^\]]+)\]|([^:/]+)):\//
      .exec(device)
      ?.slice(1)
      .find((host) => host !== undefined) ?? null
  );
}

function unlessNumber(host: string | null): string | null {
  return host === null || host === '' || isIP(host) !== 0 ? null : host;
}

/** `//host/share`. */
function cifsHost(device: string): string | null {
  return /^(?:cifs:|smb:)?\/\/([^/]+)/.exec(device)?.[1] ?? null;
}

interface Words {
  readonly flags: number;
  readonly propagation: number;
  /** 0: not a bind mount. */
  readonly bind: number;
  readonly data: readonly string[];
}

function wordsOf(options: readonly string[]): Words {
  let [flags, propagation, bind] = [0, 0, 0];
  const data: string[] = [];
  for (const option of options) {
    const flag = flagOptions.get(option);
    const mode = propagationOptions.get(option);
    if (flag !== undefined) flags = flag.clear ? flags & ~flag.flag : flags | flag.flag;
    else if (mode !== undefined) propagation = mode;
    else if (option === 'bind') bind = MS_BIND;
    else if (option === 'rbind') bind = MS_BIND | MS_REC;
    else if (option !== 'defaults') data.push(option);
  }
  return { flags, propagation, bind, data };
}
