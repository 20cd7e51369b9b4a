/** What the daemon says about the security of containers that do not say it themselves. */
import type { Profile } from '../runtime/seccomp/profile.ts';
import type { IdPool } from './id-ranges.ts';

export interface SecurityDefaults {
  /** `--hardened`: as if every container had `--security-opt hardened`. */
  readonly hardened: boolean;
  /** `--no-new-privileges`. */
  readonly noNewPrivileges: boolean;
  /** `--userns-pool`. */
  readonly idPool: IdPool;
  /** `--default-ipc-mode`, `--default-cgroupns-mode`; `""`: Docker's. */
  readonly ipcMode: '' | 'private' | 'shareable';
  readonly cgroupnsMode: '' | 'private' | 'host';
  /** `--seccomp-profile`: instead of our own; null: our own. */
  readonly seccomp: Profile | 'unconfined' | null;
}

/** What systemd sets aside for containers (524288 to 1879048191): no user and no subordinate id of useradd is in it. */
export const defaultIdPool: IdPool = { base: 524288, size: 1879048192 - 524288 };

export const plainSecurity: SecurityDefaults = {
  hardened: false,
  noNewPrivileges: false,
  idPool: defaultIdPool,
  ipcMode: '',
  cgroupnsMode: '',
  seccomp: null,
};
