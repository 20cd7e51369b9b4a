/** What is asked of devices, in Docker's vocabulary: `HostConfig.DeviceRequests` of the API, normalised at the edge. */

export interface DeviceRequest {
  /** `nvidia`, `amd`, `intel`, `cdi`; '': whichever fits the capabilities. */
  readonly Driver: string;
  /** -1: all. 0 with `DeviceIDs`. */
  readonly Count: number;
  /** Indexes, UUIDs, `GPU:MIG` pairs; with the driver `cdi`, qualified names. */
  readonly DeviceIDs: readonly string[] | null;
  /** An OR list of AND lists: `[["gpu", "compute"]]`. */
  readonly Capabilities: readonly (readonly string[])[] | null;
  /** `exclusive` (beyond Docker): nobody else gets these devices while the container runs. */
  readonly Options: Readonly<Record<string, string>> | null;
}
