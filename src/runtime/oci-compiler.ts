/**
 * How containers of an OCI runtime (runc, crun and their like) are made: writes the bundle into the container's runtime directory and compiles the plans that call
 * the program. Everything else (stdio, log, exit, kill, adoption) is the monitor's, as with the native runtime.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerId } from '../base/brand.ts';
import { removeNamedCgroups } from '../linux/named-hierarchies.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import { checkExecSpec, checkSpec } from './check-spec.ts';
import { hookPoints, hooksAt, patienceMsOf } from './hooks.ts';
import type { Compiler } from './native-runtime.ts';
import { jsonText, ociBundle, ociProcess } from './oci-config.ts';
import { ociStartError } from './oci-failure.ts';
import { type OciPlaces, ociCreatePlan, ociExecPlan, ociPaths } from './oci-plan.ts';

export interface OciProgram {
  /** As `--runtime` names it. */
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  /** How long one call of the program may take before it is killed. */
  readonly patienceMs: number;
}

/** In a container's runtime directory: the `OciProgram` that it was made by. */
export function programFile(directory: string): string {
  return join(directory, 'runtime.json');
}

/** Sockets over which terminals come lie in `t/` of the exec root: a container's own directory has too long a name for one. */
export function ociCompiler(program: OciProgram, execRoot: string): Compiler {
  const placesOf = (id: ContainerId, directory: string): OciPlaces => ({
    id,
    program: program.path,
    programArgs: program.args,
    directory,
    patienceMs: program.patienceMs,
  });
  const consoleOf = async (id: string, terminal = false): Promise<string | null> => {
    if (!terminal) return null;
    await mkdir(join(execRoot, 't'), { recursive: true, mode: 0o700 });
    return join(execRoot, 't', id.slice(0, 16));
  };
  /** Hooks run within calls of the program. */
  const patienceWith = (spec: RuntimeSpec): number =>
    program.patienceMs + hooksAt(spec, ...hookPoints).reduce((sum, { hook }) => sum + patienceMsOf(hook), 0);
  return {
    async plan({ id, spec, rootfs }, _cgroup, directory) {
      checkSpec(spec);
      const { staging, state } = ociPaths(directory);
      // Of a run whose daemon and monitor both died.
      for (const old of [staging, state]) await rm(old, { recursive: true, force: true });
      await mkdir(staging, { mode: 0o700 });
      const bundle = ociBundle(spec, rootfs.kind === 'overlay' ? rootfs.target : rootfs.path, staging);
      await writeFile(programFile(directory), JSON.stringify(program), { mode: 0o600 });
      await writeFile(join(directory, 'config.json'), bundle.config, { mode: 0o600 });
      const places = { ...placesOf(id, directory), patienceMs: patienceWith(spec) };
      return ociCreatePlan(spec, rootfs, bundle, places, await consoleOf(id, spec.process.terminal));
    },
    async execPlan(id, exec, spec, _cgroup, directory) {
      checkExecSpec(spec);
      await writeFile(ociPaths(directory, exec).process, jsonText(ociProcess(spec)), { mode: 0o600 });
      return ociExecPlan(placesOf(id, directory), exec, await consoleOf(exec, spec.process.terminal));
    },
    async execSettled(directory, exec) {
      const { process, pidFile, log } = ociPaths(directory, exec);
      await Promise.all([process, pidFile, log].map((path) => rm(path, { force: true })));
    },
    // `delete` removes it after it has run them.
    owesPoststop: (directory, id) => existsSync(join(ociPaths(directory).state, id)),
    ended: removeNamedCgroups,
    explain: (failure, directory, exec) =>
      ociStartError(failure, { name: program.name, program: program.path, directory, patienceMs: program.patienceMs, exec }),
  };
}
