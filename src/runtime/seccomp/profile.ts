/** A seccomp profile as users write it for `--security-opt seccomp=FILE`: moby's JSON structure, whose rules may depend on capabilities, architecture and kernel. */
import type { SeccompAction, SeccompArgument } from '../../oci/runtime-spec.ts';

export interface Profile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  /** Either these, for any host, … */
  readonly architectures?: readonly string[];
  /** … or the list that goes with the host's own architecture. */
  readonly archMap?: readonly ArchitectureGroup[];
  readonly flags?: readonly string[];
  readonly syscalls: readonly ProfileRule[];
}

export interface ArchitectureGroup {
  readonly architecture: string;
  readonly subArchitectures: readonly string[];
}

export interface ProfileRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
  /** The rule holds when all of this is so. */
  readonly includes?: ProfileFilter;
  /** The rule does not hold when any of this is so. */
  readonly excludes?: ProfileFilter;
}

export interface ProfileFilter {
  /** `CAP_SYS_ADMIN`, …: all of them (`includes`), one of them (`excludes`). */
  readonly caps?: readonly string[];
  /** Go's names: `amd64`, `arm64`, …: one of them. */
  readonly arches?: readonly string[];
  /** `4.8`: this kernel or a newer one. */
  readonly minKernel?: string;
}
