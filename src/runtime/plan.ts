/**
 * The plan: what the native side does to make one process of a container, as a flat list of privileged steps.
 *
 * TypeScript decides everything (which step, in which order, with which arguments); the C interpreter in `native/`
 * only carries steps out, first to last, and stops at the first that fails, reporting its index and the errno.
 * Each step carries the reason it exists and the text of its error, so a plan can be printed and a failure explained.
 *
 * A plan has four phases, always in this order:
 *
 *   monitor ──clone──▶ [middle] ──clone(CLONE_PARENT)──▶ child ──execve──▶ the container's process
 *                       only when `joins` is not empty
 *
 *   1. `before`: steps of the middle process while it still sees the host (joining v1 cgroups). Empty when `joins` is.
 *   2. `joins`: namespaces entered before the last clone, in order. A joined PID namespace only holds for children,
 *      hence the middle process. For exec all of them come from the init's pidfd.
 *   3. clone3 with `cloneFlags`, into the v2 cgroup `cgroup2` when that is not null (its descriptor is opened by the monitor).
 *   4. `steps`, run by the child in order. The last one is always `exec`.
 *
 * With a `takeover` the last step starts a program of an OCI runtime (`runc create`) that makes the process and ends: see `Takeover`.
 *
 * A failure is reported as (phase, index, errno).
 *
 * Paths: `host` paths are opened as they are, in the mount namespace the child was cloned with, before `pivot`.
 * `root` paths belong to the container: before `pivot` they are resolved below the new root by
 * openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), after it (and in exec) they are plain absolute paths.
 */

export interface Plan {
  /** CLONE_NEW* flags for clone3; CLONE_PIDFD and CLONE_INTO_CGROUP are added by the monitor. */
  readonly cloneFlags: number;
  /** Directory in the cgroup2 mount to be born into (CLONE_INTO_CGROUP); null: none. */
  readonly cgroup2: string | null;
  readonly before: readonly PlannedStep[];
  readonly joins: readonly Join[];
  readonly steps: readonly PlannedStep[];
  readonly takeover?: Takeover;
}

/**
 * What the monitor does with a program that makes the process: gives it the process's stdio, waits for its end, takes the process in `pidFile` over as its own
 * child, and runs `follow` to let that go on. When the process has ended, `farewell` is run. The programs lead sessions of their own and are killed with all that
 * they started when they take longer than `patienceMs`.
 */
export interface Takeover {
  readonly pidFile: string;
  /** The unix socket on which the program hands the terminal's master over; null: no terminal. At most 107 bytes. */
  readonly console: string | null;
  readonly patienceMs: number;
  readonly follow: Plan | null;
  readonly farewell: Plan | null;
}

export type Join =
  /** setns(open(path), nstype): `nstype` is one CLONE_NEW* flag. */
  | { readonly kind: 'path'; readonly path: string; readonly nstype: number }
  /** setns(pidfd of the monitor's init, flags): how exec enters; the monitor has the pidfd. */
  | { readonly kind: 'init'; readonly nstypes: number };

export interface PlannedStep {
  readonly step: Step;
  /** Why the step is there, for `printPlan` and reviewers. */
  readonly reason: string;
  /** What could not be done, completing "cannot ...": shown with the errno when the step fails. */
  readonly failure: string;
}

export type Step =
  /** open(O_WRONLY|O_CLOEXEC [|O_NOFOLLOW]) + one write. cgroup v1 join ("0" into `tasks`), sysctls, oom_score_adj. `optional`: ENOENT is fine. */
  | { readonly op: 'write-file'; readonly path: string; readonly data: string; readonly optional: boolean }
  | { readonly op: 'unshare'; readonly flags: number }
  /** setns(open(path), nstype), in the child itself: saves the middle process where a namespace holds at once. `path` is a `host` path. */
  | { readonly op: 'join'; readonly path: string; readonly nstype: number }
  /** mount(NULL, "/", NULL, flags): MS_REC | MS_PRIVATE or MS_SLAVE, so nothing of ours reaches the host. */
  | { readonly op: 'propagation'; readonly flags: number }
  /**
   * Mounts the overlay on the host directory `target`, which becomes the new root for all `root` paths. New mount API with `lowerdir+` when the kernel has it,
   * else mount(2) with names relative to `lowerBase` after chdir there. `lowers` are topmost first and relative to `lowerBase`.
   */
  | {
      readonly op: 'overlay';
      readonly target: string;
      readonly lowerBase: string;
      readonly lowers: readonly string[];
      readonly upper: string;
      readonly work: string;
      /** e.g. `redirect_dir=off,metacopy=off,index=off`. */
      readonly options: string;
    }
  /** A plain directory as root (an OCI bundle): bind-mounted on itself and used as the new root. */
  | { readonly op: 'bind-root'; readonly source: string }
  /**
   * fsopen/fsconfig/fsmount, attached at the `root` path (which must exist, see `mkdir`). `data` is comma separated; `flags` are MS_* bits; ro via MS_RDONLY.
   * A tmpfs whose data names no `mode=` takes the mode of the directory it covers, as runc does (`--tmpfs /run` stays 0755).
   */
  | {
      readonly op: 'mount';
      readonly fstype: string;
      readonly source: string;
      readonly target: string;
      readonly flags: number;
      readonly data: string;
    }
  /**
   * open_tree(CLONE [|AT_RECURSIVE]) of a `host` path, mount_setattr, move_mount onto the `root` path.
   * `create`: make the mount point (file or directory as the source is) when it is missing.
   */
  | {
      readonly op: 'bind';
      readonly source: string;
      /** Followed below the source (RESOLVE_IN_ROOT); '': the source itself. */
      readonly subpath: string;
      readonly target: string;
      readonly recursive: boolean;
      /** MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC|MS_NOATIME… to be set on the new mount (and, when `recursiveReadOnly`, below it). */
      readonly flags: number;
      readonly recursiveReadOnly: boolean;
      /** MS_PRIVATE|MS_SLAVE|MS_SHARED, with MS_REC or not; 0: leave. */
      readonly propagation: number;
      readonly create: boolean;
      /** n: the tree of the n-th `take-tree` instead of opening source and subpath now; 0: none. */
      readonly taken: number;
      /** Triples: owner in the file system, owner seen through the mount, how many. Empty: as they are. */
      readonly uidMap: readonly number[];
      readonly gidMap: readonly number[];
    }
  /**
   * Opens a tree for a later `bind`, before `propagation` parts this namespace's mounts from the host's: the clone stays in the peer group of a shared mount,
   * so what is mounted in it travels both ways. With a `namespace` (a path) the source is looked up in that mount namespace; `""`: in ours.
   */
  | {
      readonly op: 'take-tree';
      readonly source: string;
      readonly subpath: string;
      readonly namespace: string;
      readonly recursive: boolean;
    }
  /**
   * An overlay of `lowers` (topmost first, relative to `lowerBase`; at least two when it is read-only) or of what `subpath` leads to in it; makes the mount point.
   * `writable`: its upper and its work directory; empty: read-only.
   */
  | {
      readonly op: 'mount-layers';
      readonly target: string;
      readonly lowerBase: string;
      readonly lowers: readonly string[];
      readonly options: string;
      readonly subpath: string;
      readonly writable: readonly string[];
    }
  /** A file that only memory holds and no swap, mounted read-only at the `root` path; makes the mount point. */
  | {
      readonly op: 'memory-file';
      readonly target: string;
      readonly content: Uint8Array;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** mkdir -p below the root; only created directories get `mode`, `uid`, `gid`. */
  | { readonly op: 'mkdir'; readonly target: string; readonly mode: number; readonly uid: number; readonly gid: number }
  | {
      readonly op: 'mknod';
      readonly target: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** symlink(text, target); EEXIST is fine. */
  | { readonly op: 'symlink'; readonly target: string; readonly text: string }
  /** For a tmpfs with `tmpcopyup`: copies what the image had at the path into the fresh mount. */
  | { readonly op: 'mount-tmpfs-copyup'; readonly target: string; readonly flags: number; readonly data: string }
  /** pivot_root(".", ".") into the new root, umount2(".", MNT_DETACH), chdir("/"). */
  | { readonly op: 'pivot' }
  /** Over a file: /dev/null; over a directory: an empty read-only tmpfs. A missing path is fine. */
  | { readonly op: 'mask'; readonly target: string }
  /** bind on itself, read-only, recursively where the kernel can. A missing path is fine. */
  | { readonly op: 'readonly'; readonly target: string }
  /** mount_setattr("/", RDONLY), not recursive: `--read-only`. */
  | { readonly op: 'readonly-root' }
  | { readonly op: 'hostname'; readonly name: string }
  | { readonly op: 'domainname'; readonly name: string }
  /** SIOCSIFFLAGS IFF_UP on `lo`. */
  | { readonly op: 'loopback-up' }
  /** setsid is done by the interpreter before the first step. Opens ptmx in the container's own devpts (type checked), makes the slave stdio and
   * controlling terminal, sends the master to the monitor; binds the slave at /dev/console when `console`. Size 0x0: leave. */
  | { readonly op: 'terminal'; readonly console: boolean; readonly rows: number; readonly columns: number }
  /** `resource`: RLIMIT_* number. Values are unsigned 64-bit; -1n is RLIM_INFINITY. */
  | { readonly op: 'rlimit'; readonly resource: number; readonly soft: bigint; readonly hard: bigint }
  /** A session keyring of its own (keyctl JOIN_SESSION_KEYRING), so that the host's keys are out of reach. ENOSYS/EPERM fine. */
  | { readonly op: 'keyring'; readonly name: string }
  | { readonly op: 'no-new-privileges' }
  /** Drops every capability outside the mask from the bounding set. */
  | { readonly op: 'bounding'; readonly mask: bigint }
  /** Raw `struct sock_filter[]`, 8 bytes each. */
  | { readonly op: 'seccomp'; readonly filter: Uint8Array; readonly flags: number }
  /** fchown of stdio pipes to the user, KEEPCAPS, setgroups, setresgid, setresuid, umask. */
  | { readonly op: 'user'; readonly uid: number; readonly gid: number; readonly groups: readonly number[]; readonly umask: number }
  /** capset, then PR_CAP_AMBIENT. */
  | {
      readonly op: 'capabilities';
      readonly effective: bigint;
      readonly permitted: bigint;
      readonly inheritable: bigint;
      readonly ambient: bigint;
    }
  /** chdir; then getcwd must lie inside the root ("(unreachable)" is EPERM: CVE-2024-21626). */
  | { readonly op: 'chdir'; readonly path: string }
  /** Makes a user namespace, see `user-namespace.ts`; triples of inside, outside, size. It is entered later. */
  | { readonly op: 'user-namespace'; readonly uidMap: readonly number[]; readonly gidMap: readonly number[] }
  /** setfsuid, setfsgid, with all capabilities kept; until `enter-user-namespace`. */
  | { readonly op: 'file-owner'; readonly uid: number; readonly gid: number }
  /** fchown of 0, 1 and 2, the null device excepted. */
  | { readonly op: 'own-stdio'; readonly uid: number }
  | { readonly op: 'enter-user-namespace' }
  /** Tells the daemon (PAUSED) and waits for its GO_ON; without a daemon the start is given up. Not in an exec. */
  | { readonly op: 'checkpoint' }
  /**
   * fork, setsid, exec of `path` with `argv` and `env` in `directory`; stdin is `before`, our pid, `after`. It must end with 0 within `timeoutMs`, else its group is
   * killed and the step fails; its last words come with the failure. `confined`: the child carries out the rest of the plan first, up to the exec, so that it is what
   * the process will be. A descendant that left the group is killed too where the container has a PID namespace of its own.
   */
  | {
      readonly op: 'hook';
      readonly path: string;
      readonly directory: string;
      readonly before: string;
      readonly after: string;
      readonly argv: readonly string[];
      readonly env: readonly string[];
      readonly confined: boolean;
      readonly timeoutMs: number;
    }
  /** sched_setscheduler, ioprio and the like come with their issues. */
  /**
   * close_range(3, ~0, CLOEXEC) and execve. A name without "/" is looked up in `path` (the PATH of the process), as execvp does it, without a shell fallback.
   * Failure leaves errno ENOENT, EACCES, ENOEXEC, …; EISDIR for a directory.
   */
  | { readonly op: 'exec'; readonly argv: readonly string[]; readonly env: readonly string[]; readonly path: string };

/** The plan as people read it: one numbered line per step. */
export function printPlan(plan: Plan): string {
  const joins = plan.joins.map((join) =>
    join.kind === 'path' ? `join ${join.path}` : `join namespaces of init (0x${join.nstypes.toString(16)})`,
  );
  const clone = `clone 0x${plan.cloneFlags.toString(16)}${plan.cgroup2 === null ? '' : ` into ${plan.cgroup2}`}`;
  return `${[...plan.before.map(printStep), ...joins, clone, ...plan.steps.map(printStep)].join('\n')}\n`;
}

function printStep({ step, reason }: PlannedStep, index: number): string {
  const { op, ...fields } = step;
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${printValue(value)}`);
  return `${String(index).padStart(3)} ${op} ${shown.join(' ')}  # ${reason}`;
}

function printValue(value: unknown): string {
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (typeof value === 'bigint') return `0x${BigInt.asUintN(64, value).toString(16)}`;
  return JSON.stringify(value);
}
