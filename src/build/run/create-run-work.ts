/**
 * RUN, from its operation to its layer:
 *
 *   entitled? ─▶ secrets, agents, cache mounts ─▶ workspace ─▶ executor ─┬─ 0 ──▶ sealed: the layer
 *                                                                       └─ else ▶ thrown away, `ProcessFailure`
 *
 * However it ends, cache mounts are given back and the workspace is used up or gone.
 */
import { randomBytes } from 'node:crypto';
import { notImplemented } from '../../base/errors.ts';
import type { LayerStore } from '../../store/layer-store.ts';
import type { RunSettings } from '../build-request.ts';
import type { CacheMounts } from '../cache/build-cache.ts';
import type { LayerWork, MadeLayer, Workspace } from '../files/layer-work.ts';
import type { RunOperation } from '../plan/operation.ts';
import type { Tree } from '../result.ts';
import type { OutputSink } from '../solve/solver.ts';
import { CacheFill } from './cache-fill.ts';
import { requireDevices, requireEntitlements } from './entitlements.ts';
import { endFailure, startFailure } from './failure-text.ts';
import { type RunMounts, runMounts } from './run-mounts.ts';
import type { RunRequest, RunWork } from './run-work.ts';
import { maskSecrets } from './secret-mask.ts';
import { type StepExecutor, type StepRequest, StepStartError } from './step-executor.ts';

export interface RunWorkOptions {
  readonly executor: StepExecutor;
  readonly layers: Pick<LayerStore, 'mountOrder'>;
  readonly layerWork: Pick<LayerWork, 'workspace' | 'seal'>;
  readonly cacheMounts: CacheMounts;
  /** A directory for what is made and gone again, on the file system of cache mounts: `<data-root>/build/tmp`. */
  readonly scratch: string;
}

export interface OpenRunWork extends RunWork {
  close(): Promise<void>;
}

export function createRunWork(options: RunWorkOptions): OpenRunWork {
  const fill = new CacheFill(options.layers, options.scratch);
  return {
    run: (request, output, signal) => runOperation({ ...options, fill }, request, output, signal),
    close: () => fill.close(),
  };
}

async function runOperation(
  options: RunWorkOptions & { readonly fill: CacheFill },
  request: RunRequest,
  output: OutputSink,
  signal: AbortSignal,
): Promise<MadeLayer> {
  const { operation, inputs, client, settings, entitlements } = request;
  requireEntitlements(operation, settings, entitlements);
  const devices = operation.devices.length === 0 ? [] : await options.executor.findDevices(operation.devices);
  requireDevices(devices, entitlements);
  const why = options.executor.whyNot(operation.platform);
  if (why !== null) throw notImplemented(why);
  const mounts = await runMounts(operation, inputs, client, { ...options, importedMount: request.importedMount }, signal);
  let workspace: Workspace | null = null;
  try {
    workspace = await options.layerWork.workspace(request.parent);
    const step = stepRequest(operation, devices, settings, request.parent, mounts, workspace, options.layers);
    await runProcess(options.executor, operation, step, mounts.secrets, output, signal);
  } catch (error) {
    await workspace?.discard();
    throw error;
  } finally {
    await mounts.release();
  }
  return await options.layerWork.seal(workspace, request.parent, operation.epoch, request.lease, signal);
}

function stepRequest(
  operation: RunOperation,
  devices: StepRequest['devices'],
  settings: RunSettings,
  parent: Tree,
  { mounts, agentEnvironment, secretEnvironment }: RunMounts,
  { upper, work }: Workspace,
  layers: Pick<LayerStore, 'mountOrder'>,
): StepRequest {
  const { argv, cwd, user, platform, network, security } = operation;
  return {
    id: randomBytes(32).toString('hex'),
    lowers: layers.mountOrder(parent.layers),
    upper,
    work,
    argv,
    // Later ones win: what the Dockerfile says, and secrets over all.
    environment: [
      ...epochVariable(operation),
      ...operation.hiddenEnvironment,
      ...agentEnvironment,
      ...operation.environment,
      ...secretEnvironment,
    ],
    cwd,
    user,
    platform,
    network: network === 'default' ? settings.network : network,
    security,
    devices,
    mounts,
    settings,
  };
}

/** Programs that know it write it instead of the time of day. */
function epochVariable({ epoch }: RunOperation): readonly string[] {
  return [`SOURCE_DATE_EPOCH=${epoch}`];
}

async function runProcess(
  executor: StepExecutor,
  operation: RunOperation,
  step: StepRequest,
  secrets: readonly Uint8Array[],
  output: OutputSink,
  signal: AbortSignal,
): Promise<void> {
  const masked = maskSecrets(output, secrets);
  const end = await executor
    .run(step, masked.sink, signal)
    .catch((error: unknown) => {
      throw error instanceof StepStartError ? startFailure(operation, error) : error;
    })
    .finally(() => masked.end());
  if (end.exitCode !== 0) throw endFailure(operation, end, step.settings.memoryBytes);
}
