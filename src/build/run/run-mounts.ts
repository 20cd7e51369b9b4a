/** The mounts of a RUN, from what the Dockerfile says to what the executor makes. */
import { invalid } from '../../base/errors.ts';
import type { LayerStore } from '../../store/layer-store.ts';
import type { BuildClient } from '../build-client.ts';
import type { CacheMounts } from '../cache/build-cache.ts';
import type { Operation, RunMount, RunOperation } from '../plan/operation.ts';
import type { OperationResult } from '../result.ts';
import type { CacheFill } from './cache-fill.ts';
import { directoriesOf } from './result-directories.ts';
import { holdCacheMounts } from './run-cache-mounts.ts';
import { runSecrets } from './run-secrets.ts';
import type { RunRequest } from './run-work.ts';
import type { StepMount } from './step-executor.ts';

export interface MountDependencies {
  readonly layers: Pick<LayerStore, 'mountOrder'>;
  readonly cacheMounts: CacheMounts;
  readonly fill: CacheFill;
  readonly importedMount: RunRequest['importedMount'];
}

export interface RunMounts {
  readonly mounts: readonly StepMount[];
  /** `SSH_AUTH_SOCK`, unless the Dockerfile says it. */
  readonly agentEnvironment: readonly string[];
  readonly secretEnvironment: readonly string[];
  readonly secrets: readonly Uint8Array[];
  /** Cache mounts are others' again. */
  release(): Promise<void>;
}

/** Where heredocs that are scripts lie. */
const scriptDirectory = '/dev/pipes';

export async function runMounts(
  { mounts, scripts }: Pick<RunOperation, 'mounts' | 'scripts'>,
  inputs: ReadonlyMap<Operation, OperationResult>,
  client: BuildClient,
  { layers, cacheMounts, fill, importedMount }: MountDependencies,
  signal: AbortSignal,
): Promise<RunMounts> {
  const binds = new Map(
    mounts.flatMap((mount) => (mount.type === 'bind' ? [[mount as RunMount, bindMount(mount, inputs, layers)] as const] : [])),
  );
  const secrets = await runSecrets(mounts, client, signal);
  const agents = await agentMounts(mounts, client, signal);
  // Last: others may wait for these.
  const caches = await holdCacheMounts(
    mounts.filter((mount) => mount.type === 'cache'),
    inputs,
    { cache: cacheMounts, fill, importedMount },
    signal,
  );
  const plain = mounts.flatMap((mount): readonly StepMount[] => {
    const bind = binds.get(mount);
    if (bind !== undefined) return [bind];
    if (mount.type === 'tmpfs') return [{ kind: 'tmpfs', target: mount.target, sizeBytes: mount.sizeBytes }];
    if (mount.type !== 'cache') return [];
    const { target, writable } = mount;
    return [{ kind: 'directory', target, source: caches.directoryOf(mount), subpath: '', writable }];
  });
  const files = scripts.map(
    ({ name, body }): StepMount => ({ kind: 'file', target: `${scriptDirectory}/${name}`, content: Buffer.from(body), mode: 0o755 }),
  );
  return {
    mounts: [...plain, ...files, ...agents.mounts, ...secrets.mounts],
    agentEnvironment: agents.environment,
    secretEnvironment: secrets.environment,
    secrets: secrets.values,
    release: () => caches.release(),
  };
}

function bindMount(
  { target, from, source, writable }: RunMount & { readonly type: 'bind' },
  inputs: ReadonlyMap<Operation, OperationResult>,
  layers: Pick<LayerStore, 'mountOrder'>,
): StepMount {
  const result = inputs.get(from);
  if (result === undefined) throw invalid(`the files for the mount ${target} are not there`);
  const subpath = source === '/' ? '' : source;
  if (result.kind === 'files' && !writable) return { kind: 'directory', target, source: result.directory, subpath, writable };
  return { kind: 'tree', target, directories: directoriesOf(result, layers), subpath, writable };
}

async function agentMounts(
  mounts: readonly RunMount[],
  client: BuildClient,
  signal: AbortSignal,
): Promise<{ readonly mounts: readonly StepMount[]; readonly environment: readonly string[] }> {
  const made: StepMount[] = [];
  for (const mount of mounts) {
    if (mount.type !== 'ssh') continue;
    const { id, target, required, mode, uid, gid } = mount;
    if (await client.hasSshAgent(id, signal)) {
      made.push({ kind: 'socket', target, connect: () => client.connectSshAgent(id, signal), mode, uid, gid });
      continue;
    }
    if (required) throw invalid(`no SSH key "${id}" forwarded from the client: forward one with --ssh ${id}`);
  }
  // As in BuildKit: of several the first one.
  const [agent] = made;
  return { mounts: made, environment: agent === undefined ? [] : [`SSH_AUTH_SOCK=${agent.target}`] };
}
