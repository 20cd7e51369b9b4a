/** A descriptor that a container's monitor keeps for the daemon, so that it outlives it. The label tells the next daemon what it is. */
export interface KeptDescriptor {
  readonly label: string;
  /** Number in the process it is taken from. */
  readonly fd: number;
}
