/**
 * Runs the processes of build steps (contract: step.ts):
 *
 *   directory with a note ─┬─ network, hosts, resolv.conf ────────┐
 *                          ├─ devices, mounts, scaffold, users ───┴─▶ spec ─▶ runtime.start ─▶ output copied ─▶ ended ─▶ everything taken back
 *                          └─ abort: the whole cgroup is killed
 *
 * On disk a step is `<root>/<id>/`: `step.json` (what the next daemon needs to end it), `hosts`, `hostname`, `resolv.conf`, `scaffold`, `devices`, `merged` (empty), `mN` (of its mounts).
 * The note is there before anything else of the step is, and goes last.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ContainerId } from '../../base/brand.ts';
import { conflict, EngineError, errorText, hasErrnoCode } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoints.ts';
import type { Finding } from '../../base/finding.ts';
import type { DeviceEdits } from '../../devices/device-edits.ts';
import { killCgroup, removeIdleParents } from '../../linux/cgroups.ts';
import type { KeptDescriptor } from '../../linux/kept-descriptor.ts';
import type { Sandbox } from '../../network/networks.ts';
import type { UserFiles } from '../../oci/users.ts';
import { silentMonitor } from '../../runtime/late-container.ts';
import type { Rootfs, RunningContainer } from '../../runtime/runtime.ts';
import { layerStackOf, readFileInLayers } from '../../store/layer-stack.ts';
import type { HostConfig } from '../config.ts';
import type { ContainerContext } from '../container-context.ts';
import { noSettings } from '../container-networks.ts';
import { type ContainerPaths, containerPaths } from '../container-paths.ts';
import { deviceContent, linksInDev, needsLayer } from '../device-layer.ts';
import { namesInDirectory } from '../names-in-directory.ts';
import { hasIpv6Loopback, writeNetworkFiles } from '../network-files.ts';
import { removeDirectory } from '../remove-directory.ts';
import { makeScaffold } from '../scaffold.ts';
import { SIGKILL } from '../signals.ts';
import { findStepDevices } from './find-step-devices.ts';
import type { FoundDevice, Step, StepEnd, StepOutput, StepRunner, StepsBeside } from './step.ts';
import { grantStepDevices } from './step-devices.ts';
import { makeStepMounts, type StepMounts } from './step-mounts.ts';
import { copyOutput } from './step-output.ts';
import { defaultHostname, networkModeOf, stepCgroup, stepHostConfig, stepSpec } from './step-spec.ts';

export type StepContext = Pick<
  ContainerContext,
  | 'cgroupParent'
  | 'runtimeEntries'
  | 'runtime'
  | 'runtimes'
  | 'networks'
  | 'devices'
  | 'layers'
  | 'host'
  | 'security'
  | 'resourceDefaults'
  | 'daemonDns'
  | 'logger'
> & {
  /** `<data-root>/build/steps` */
  readonly root: string;
};

const idPattern = /^[0-9a-f]{64}$/;
/** Far above any real one (CVE-2026-47262). */
const maxUserFileBytes = 8 * 1024 * 1024;

interface Note {
  readonly cgroup: string;
}

interface PreparedNetwork {
  readonly namespace: string | null;
  readonly keep: readonly KeptDescriptor[];
}

interface PreparedRoot {
  readonly rootfs: Rootfs;
  readonly userFiles: UserFiles;
  readonly edits: DeviceEdits;
}

export class Steps implements StepRunner, StepsBeside {
  readonly #context: StepContext;
  readonly #running = new Set<string>();

  constructor(context: StepContext) {
    this.#context = context;
  }

  has(id: string): boolean {
    return this.#running.has(id);
  }

  serves(socketName: string): boolean {
    return [...this.#running].some((id) => id.startsWith(socketName));
  }

  findDevices(wanted: Step['devices']): Promise<readonly FoundDevice[]> {
    return findStepDevices(this.#context.devices, wanted);
  }

  async run(step: Step, output: StepOutput, signal: AbortSignal): Promise<StepEnd> {
    signal.throwIfAborted();
    const hostConfig = await stepHostConfig(this.#context, step);
    const paths = containerPaths(this.#context.root, step.id as ContainerId);
    if (this.#running.has(step.id)) throw conflict(`the step ${step.id} runs already`);
    this.#running.add(step.id);
    try {
      await makeDirectory(paths, { cgroup: stepCgroup(this.#context, step.id, hostConfig) });
      return await this.#runIn(paths, step, hostConfig, output, signal);
    } finally {
      await this.#takeDown(paths, step);
      this.#running.delete(step.id);
    }
  }

  /**
   * At boot, after the containers are known: ends and removes what a killed daemon left of steps. Never fails: what cannot be ended (a monitor that hangs) stays for the next boot.
   */
  async recover(): Promise<void> {
    const names = await namesInDirectory(this.#context.root);
    await Promise.all(names.filter((name) => idPattern.test(name) && !this.#running.has(name)).map((id) => this.#endFormer(id)));
  }

  async audit(): Promise<readonly Finding[]> {
    const found: Finding[] = [];
    // One that ends between the two looks is no stray.
    const before = new Set(this.#running);
    for (const name of await namesInDirectory(this.#context.root)) {
      if (before.has(name) || this.#running.has(name)) continue;
      const what = join(this.#context.root, name);
      const why = 'no step of a build runs there';
      const isOurs = idPattern.test(name);
      found.push({
        kind: 'directory',
        what,
        why: isOurs ? why : `${why}: remove it by hand`,
        repair: isOurs ? { does: 'ends what is left of the step and removes it', run: () => this.#endFormer(name) } : null,
      });
    }
    return found;
  }

  async #runIn(paths: ContainerPaths, step: Step, hostConfig: HostConfig, output: StepOutput, signal: AbortSignal): Promise<StepEnd> {
    const network = this.#joinNetwork(paths, step, hostConfig);
    // Whoever fails first is told.
    network.catch(() => {});
    let mounts: StepMounts | null = null;
    try {
      const { edits } = await grantStepDevices(this.#context.devices, step);
      mounts = await makeStepMounts(paths.directory, step.mounts);
      const root = await this.#prepareRoot(paths, step, mounts, edits);
      const process = await this.#start(paths, step, hostConfig, { mounts, root, network: await network }, signal);
      return await this.#follow(process, step, output, signal);
    } finally {
      for (const socket of mounts?.sockets ?? []) socket.close();
      // It is taken down after it came up.
      await network.catch(() => {});
    }
  }

  async #joinNetwork(paths: ContainerPaths, step: Step, { ExtraHosts: extraHosts }: HostConfig): Promise<PreparedNetwork> {
    const { networks, daemonDns } = this.#context;
    const hostname = step.settings.hostname ?? defaultHostname;
    const mode = networkModeOf(step);
    const sandbox =
      step.network !== 'default'
        ? null
        : await networks.attach({
            containerId: step.id as ContainerId,
            containerName: `build-${step.id.slice(0, 12)}`,
            hostname,
            domainname: '',
            endpoints: [{ network: mode, settings: noSettings }],
            ports: { exposed: [], bindings: {}, publishAll: false },
            dns: daemonDns,
          });
    await writeNetworkFiles(paths, {
      mode,
      hostname,
      domainname: '',
      addresses: addressesOf(sandbox),
      ipv6: hasIpv6Loopback(null),
      extraHosts: extraHosts ?? [],
      hostGateway: networks.hostGateway,
      links: [],
      resolver: sandbox?.resolver ?? { kind: 'host' },
      dns: daemonDns,
    });
    return { namespace: sandbox?.namespacePath ?? null, keep: sandbox?.keep ?? [] };
  }

  async #prepareRoot(paths: ContainerPaths, step: Step, { points }: StepMounts, edits: DeviceEdits): Promise<PreparedRoot> {
    const { initLayer } = this.#context.layers;
    const { base, lowers } = step.lowers;
    const scaffold = join(paths.directory, 'scaffold');
    const seen = [initLayer, ...lowers];
    const tree = { stack: layerStackOf(base, seen), image: layerStackOf(base, lowers) };
    const content = needsLayer(edits)
      ? await deviceContent(
          edits,
          tree,
          step.mounts.map(({ target }) => target),
        )
      : null;
    makeScaffold(scaffold, tree, { ...content, points: [...points, ...(content?.points ?? [])] });
    const text = (path: string) => readFileInLayers(base, lowers, path, maxUserFileBytes)?.toString() ?? null;
    return {
      edits: await withLinksInDev(paths, edits),
      userFiles: { passwd: text('/etc/passwd'), group: text('/etc/group') },
      rootfs: {
        kind: 'overlay',
        lowerBase: base,
        lowers: [relative(base, scaffold), ...seen],
        upper: step.upper,
        work: step.work,
        target: paths.merged,
        // What a step wrote is synced when it becomes a layer; before that, a crash of the machine ends it with its build.
        ...(hasVolatileOverlay(this.#context.host) ? { volatile: true as const } : {}),
      },
    };
  }

  async #start(
    files: ContainerPaths,
    step: Step,
    hostConfig: HostConfig,
    { mounts, root, network }: { readonly mounts: StepMounts; readonly root: PreparedRoot; readonly network: PreparedNetwork },
    signal: AbortSignal,
  ): Promise<RunningContainer> {
    const { userFiles, rootfs, edits } = root;
    const spec = stepSpec(this.#context, { step, hostConfig, userFiles, files, mounts, network: network.namespace, edits });
    signal.throwIfAborted();
    return await this.#context.runtime.start({
      id: step.id as ContainerId,
      spec,
      rootfs,
      log: null,
      stdin: 'null',
      attachments: [{ stdin: false, stdout: true, stderr: true }],
      keep: network.keep,
    });
  }

  async #follow(process: RunningContainer, step: Step, output: StepOutput, signal: AbortSignal): Promise<StepEnd> {
    const kill = () => {
      process.kill(SIGKILL, 'all').catch((error) => {
        // It ended by itself, or `exited` tells why nobody can say.
        if (!(error instanceof EngineError && error.code === 'conflict')) this.#warn(step.id, error, 'cannot kill a build step');
      });
    };
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    try {
      failpoint('build.step-started');
      const [stream] = process.attached;
      const copied = stream === undefined ? Promise.resolve() : copyOutput(stream, output);
      const exit = await process.exited;
      await copied;
      failpoint('build.step-ended');
      await process.release().catch((error) => this.#warn(step.id, error, 'cannot dismiss the monitor of a build step'));
      signal.throwIfAborted();
      if (exit === 'lost') throw new EngineError('system', 'the exit status of the step is lost: its monitor died');
      if (exit.note !== null) throw new EngineError('system', `the step was ended: ${exit.note}`);
      return { exitCode: exit.code, oomKilled: exit.oomKilled };
    } finally {
      signal.removeEventListener('abort', kill);
    }
  }

  /** Never fails: what stays is found by `recover`, or by the audit. */
  async #takeDown({ directory }: ContainerPaths, { id }: Pick<Step, 'id'>): Promise<void> {
    const { networks, devices, cgroupParent } = this.#context;
    devices.release(id);
    await networks.detach(id as ContainerId).catch((error) => this.#warn(id, error, 'cannot take a build step off its network'));
    const { cgroup } = await readNote(directory);
    if (cgroup.startsWith(`${cgroupParent}/`)) removeIdleParents(cgroupParent, cgroup.slice(cgroupParent.length + 1, -id.length));
    await removeDirectory(directory).catch((error) => this.#warn(id, error, 'cannot remove the directory of a build step'));
  }

  async #endFormer(id: string): Promise<void> {
    const { runtime, root, runtimeEntries } = this.#context;
    const directory = join(root, id);
    try {
      const { cgroup } = await readNote(directory);
      const found = await runtime.adopt(id as ContainerId, cgroup === '' ? null : cgroup);
      if (found !== 'lost' && 'exited' in found) {
        if (found.answered) throw silentMonitor(id as ContainerId, found.kept.pid);
        await found.kill(SIGKILL, 'all').catch(() => {});
        await found.exited;
        await found.release();
      }
      if (cgroup !== '') await killCgroup(cgroup);
      await removeDirectory(join(runtimeEntries, id));
      await this.#takeDown(containerPaths(root, id as ContainerId), { id });
    } catch (error) {
      this.#warn(id, error, 'cannot end a build step that a former daemon left');
    }
  }

  #warn(id: string, error: unknown, message: string): void {
    this.#context.logger.warn({ step: id, error: errorText(error) }, message);
  }
}

function hasVolatileOverlay({ kernel: { major, minor } }: StepContext['host']): boolean {
  return major > 5 || (major === 5 && minor >= 10);
}

async function withLinksInDev({ devices }: ContainerPaths, edits: DeviceEdits): Promise<DeviceEdits> {
  if (edits.links.length === 0) return edits;
  await mkdir(devices, { mode: 0o700 });
  return { ...edits, mounts: [...edits.mounts, ...linksInDev(devices, edits)] };
}

async function makeDirectory({ directory, merged }: ContainerPaths, note: Note): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(notePath(directory), JSON.stringify(note), { mode: 0o600 });
  await mkdir(merged, { mode: 0o700 });
}

function notePath(directory: string): string {
  return join(directory, 'step.json');
}

/** Without one, or with half of one, nothing had begun. */
async function readNote(directory: string): Promise<Note> {
  try {
    return JSON.parse(await readFile(notePath(directory), 'utf8')) as Note;
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT') || error instanceof SyntaxError) return { cgroup: '' };
    throw error;
  }
}

function addressesOf(sandbox: Sandbox | null): readonly string[] {
  return Object.values(sandbox?.endpoints ?? {}).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter((address) => address !== ''));
}
