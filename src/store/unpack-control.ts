/** How unpacking and whoever waits for it hear of each other. */
export interface UnpackControl {
  /** Asked between chunks. */
  isCancelled(): boolean;
  /** Compressed bytes read. */
  progress(doneBytes: number, totalBytes: number): void;
}
