/**
 * Carries out a RUN: its mounts and scripts, its secrets and sockets, its process, and the layer of what it wrote. Above it are the graph and the cache, below it the
 * `StepExecutor`. When it ends, however it ends, nothing is left of it but the layer.
 */
import { EngineError } from '../../base/errors.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { RunSettings } from '../build-request.ts';
import type { CacheMountName } from '../cache/build-cache.ts';
import type { MadeLayer } from '../files/layer-work.ts';
import type { Operation, RunOperation } from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';
import type { OutputSink } from '../solve/solver.ts';

export interface RunWork {
  /** Rejects with a `ProcessFailure` when the process ended with anything but 0. */
  run(request: RunRequest, output: OutputSink, signal: AbortSignal): Promise<MadeLayer>;
}

export interface RunRequest {
  readonly operation: RunOperation;
  readonly parent: Tree;
  /** Results of what its mounts are `from`; the parent too. */
  readonly inputs: ReadonlyMap<Operation, OperationResult>;
  /** For secrets and ssh. */
  readonly client: BuildClient;
  readonly settings: RunSettings;
  readonly entitlements: ReadonlySet<string>;
  /** Holds the layer from before it is visible. */
  readonly lease: Lease;
  /** What a cache mount that is not here starts with, from a cache elsewhere; null: nobody has it. */
  importedMount(mount: CacheMountName, signal: AbortSignal): Promise<Tree | null>;
}

/** `process "/bin/sh -c exit 3" did not complete successfully: exit code: 3` */
export class ProcessFailure extends EngineError {
  override readonly name = 'ProcessFailure';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super('invalid', message);
    this.exitCode = exitCode;
  }
}
