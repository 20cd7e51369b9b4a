/** The contract between a download and where its bytes go; the download itself follows below. */

/** Where the bytes of one blob are gathered. What a cut download left is where the next one goes on. */
export interface BlobSink {
  /** Bytes that are there already. */
  readonly sizeBytes: number;
  /** Resolves when more may come. */
  append(bytes: Uint8Array): Promise<void>;
  /** From byte 0 again: the registry serves no ranges, or what was there proved to be something else. */
  restart(): Promise<void>;
}
