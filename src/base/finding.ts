/**
 * What an audit of the engine finds (`gantry system fsck`): something that should not be there, or is missing. Each folder audits its own (`audit-*.ts`); the daemon
 * puts them together.
 *
 * An audit looks and changes nothing. What is just on its way looks like a stray too: whoever composes the audits looks several times and believes only what stays.
 */
export type FindingKind =
  | 'blob'
  | 'cgroup'
  | 'directory'
  | 'file'
  | 'interface'
  | 'layer'
  | 'mount'
  | 'namespace'
  | 'nft'
  | 'port'
  | 'process'
  | 'row'
  | 'socket';

export interface Finding {
  readonly kind: FindingKind;
  /** Names it, the same in every audit: a path, an id, a digest. */
  readonly what: string;
  readonly why: string;
  /** Null: only a person can; `why` then says how. */
  readonly repair: FindingRepair | null;
  /** Only a deep audit sees it: not to be looked for again and again. */
  readonly deep?: true;
}

export interface FindingRepair {
  /** In the third person: `removes the directory`. */
  readonly does: string;
  /** Looks again, under the lock of whoever may use it, and does nothing when there is nothing to do any more. */
  run(): Promise<void>;
}

export interface AuditOptions {
  /** Reads every byte that has a digest: minutes for many images. */
  readonly deep: boolean;
}
