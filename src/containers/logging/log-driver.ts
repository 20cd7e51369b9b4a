/**
 * The contract of a log driver: where the lines of a container go.
 *
 * The monitor writes every line to the container's own files (the spool), whatever the driver; `docker logs` reads them. A driver with a `sink` is fed from
 * there by `log-forwarder.ts`, in the daemon: one sink per container, `open` → `connect` (once, before a start, so that a receiver that cannot be reached is
 * told to who starts) → `send` in the order of the lines, one call at a time → `close`. A `send` that rejects is repeated with the same lines; it resolves
 * when the receiver's side of the protocol, or at least the kernel, has them all.
 */
import { EngineError } from '../../base/errors.ts';

export type LogOptions = Readonly<Record<string, string>>;

export interface Spool {
  /** 0: no limit. */
  readonly maxSizeBytes: number;
  readonly maxFiles: number;
  readonly compress: boolean;
}

export interface LogDriver {
  readonly name: string;
  /** Options are the driver's own: `mode` and its like are already gone. Throws with Docker's text. */
  readonly spool: (options: LogOptions) => Spool | null;
  readonly sink: ((options: LogOptions) => SinkPlan) | null;
  /** Docker shows the path of the file for json-file alone. */
  readonly showsPath: boolean;
}

/** Checked options, ready to be opened. */
export interface SinkPlan {
  /** A start does not wait for the receiver, and does not fail without it. */
  readonly lazy: boolean;
  readonly retry: RetryPolicy;
  open(subject: LogSubject): LogSink;
}

export interface RetryPolicy {
  readonly waitMs: number;
  /** After so many repetitions lines are dropped, and that is told to the daemon's log; null: never. */
  readonly maxRetries: number | null;
}

export interface LogSink {
  connect(signal: AbortSignal): Promise<void>;
  send(messages: readonly LogMessage[], signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface LogMessage {
  readonly stderr: boolean;
  readonly timeNano: bigint;
  /** Without the newline that ended the line. */
  readonly text: string;
  /** The line goes on in the next message. */
  readonly partial: boolean;
}

/** Whose lines they are. */
export interface LogSubject {
  readonly id: string;
  /** Without the leading `/`. */
  readonly name: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly command: string;
  readonly createdAt: Date;
  readonly labels: Readonly<Record<string, string>>;
  readonly env: readonly string[];
  /** Of the machine. */
  readonly hostname: string;
}

export const defaultRetry: RetryPolicy = { waitMs: 1000, maxRetries: null };

/** What cannot be set up; Docker says so when the container is started, Gantry when it is created. */
export function badLogOption(text: string): EngineError {
  return new EngineError('invalid', `failed to initialize logging driver: ${text}`);
}
