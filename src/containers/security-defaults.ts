/** What the daemon says about the security of containers that do not say it themselves. */
import type { IdPool } from './id-ranges.ts';

export interface SecurityDefaults {
  /** `--hardened`: as if every container had `--security-opt hardened`. */
  readonly hardened: boolean;
  /** `--no-new-privileges`. */
  readonly noNewPrivileges: boolean;
  /** `--userns-pool`. */
  readonly idPool: IdPool;
}

/** What systemd sets aside for containers (524288 to 1879048191): no user and no subordinate id of useradd is in it. */
export const defaultIdPool: IdPool = { base: 524288, size: 1879048192 - 524288 };

export const plainSecurity: SecurityDefaults = { hardened: false, noNewPrivileges: false, idPool: defaultIdPool };
