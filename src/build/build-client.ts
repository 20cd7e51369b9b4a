/**
 * The other side of a build: whoever asked for it, and what the builder may ask back. Implemented by the classic API (a tar with the request, nothing else), by BuildKit's session, and
 * by our own (`POST /gantry/build`). Secrets pass through here and go nowhere but into the step that mounts them.
 */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { RegistryCredentials } from '../images/transfers.ts';
import type { BuildEvent } from './build-event.ts';

export interface BuildClient {
  report(event: BuildEvent): void;
  /** Null: it is in the build context. */
  dockerfile(signal: AbortSignal): Promise<GivenDockerfile | null>;
  /** Already without what `.dockerignore` says, where that is the client's to read. `not-found`: the client has no context of that name. */
  context(name: string, signal: AbortSignal): Promise<ContextTransfer>;
  /** Null: the client has none of that id. */
  secret(id: string, signal: AbortSignal): Promise<Uint8Array | null>;
  hasSshAgent(id: string, signal: AbortSignal): Promise<boolean>;
  /** A new connection to the agent. */
  connectSshAgent(id: string, signal: AbortSignal): Promise<Duplex>;
  /** `registry`: its host name, `docker.io` for the Hub. Null: nobody. */
  credentials(registry: string, signal: AbortSignal): Promise<RegistryCredentials | null>;
  /** Where the bytes (a tar) of an output or of a local cache go. Ended by the builder; done when the client has everything is what `finished` of the stream means. */
  output(id: number | string, signal: AbortSignal): Promise<Writable>;
}

export interface GivenDockerfile {
  /** For messages. */
  readonly name: string;
  readonly text: Uint8Array;
  /** Text of the ignore file that the context was filtered with; null: none. */
  readonly ignoreFile: string | null;
}

export type ContextTransfer =
  /** Plain or compressed (gzip, bzip2, xz, zstd). */
  | {
      readonly kind: 'tar';
      readonly stream: Readable;
      /** Where its Dockerfile may be, when the sender had to put it and `.dockerignore` in even where the latter names them: no COPY sees them then (see context/withhold.ts). */
      readonly dockerfiles?: readonly string[];
    }
  | { readonly kind: 'sync'; readonly sync: FileSync }
  | { readonly kind: 'file-list'; readonly list: FileListTransfer };

/** As `FileSync`, all wanted files in one stream: no question for each. */
export interface FileListTransfer {
  readonly sharedKey: string | null;
  /** A list as `base/file-list.ts` has it, in pieces. Consumed once, before `contents`. */
  entries(): AsyncIterable<Uint8Array>;
  /** Of the files with these indexes, ascending, in that order: as `base/file-contents.ts` has it. Called once. */
  contents(wanted: readonly number[]): Readable;
  finish(): Promise<void>;
}

/** Files whose bytes are asked for only where they changed since the last build of the same place. */
export interface FileSync {
  /** Equal for the same folder of the same client in later builds; null: nothing is kept. */
  readonly sharedKey: string | null;
  /** Parents before children, sorted by path. Consumed once, before the first `read`. */
  entries(): AsyncIterable<readonly SyncEntry[]>;
  /** Bytes of the regular file with this index in the order of `entries`. Several at once are allowed. */
  read(index: number): AsyncIterable<Uint8Array>;
  /** All is here. */
  finish(): Promise<void>;
}

export interface SyncEntry {
  /** Relative, `/` between names. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symbolic-link' | 'hard-link' | 'fifo' | 'character-device' | 'block-device';
  /** Permission bits. */
  readonly mode: number;
  readonly sizeBytes: number;
  readonly modifiedAt: { readonly seconds: number; readonly nanoseconds: number };
  /** When anything of it changed (ctime), where the client tells: finds a file that was changed and given its old time. */
  readonly changedAt?: { readonly seconds: number; readonly nanoseconds: number } | undefined;
  /** Of links. */
  readonly linkTarget: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly extendedAttributes: ReadonlyMap<string, Uint8Array>;
}
