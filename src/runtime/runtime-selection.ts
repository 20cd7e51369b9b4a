/**
 * All runtimes of a daemon as one: a start goes to the runtime that the request names, an adoption to the one that the container's runtime directory names. They
 * share the launcher; each remembers its own containers.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerId } from '../base/brand.ts';
import { EngineError, hasErrnoCode } from '../base/errors.ts';
import type { Launcher } from './launcher.ts';
import { NativeRuntime, type NativeRuntimeOptions } from './native-runtime.ts';
import { type OciProgram, ociCompiler, programFile } from './oci-compiler.ts';
import type { ExitStatus, KeptByMonitor, RunningContainer, Runtime, StartRequest } from './runtime.ts';
import { nativeName } from './runtime-names.ts';

export class RuntimeSelection implements Runtime {
  readonly name = 'selection';
  readonly #options: NativeRuntimeOptions;
  readonly #native: NativeRuntime;
  readonly #programs: ReadonlyMap<string, OciProgram>;
  /** By name, path and arguments: what a container was started with may be configured otherwise by now. */
  readonly #others = new Map<string, NativeRuntime>();

  constructor(options: NativeRuntimeOptions, programs: readonly OciProgram[]) {
    this.#options = options;
    this.#native = new NativeRuntime(options);
    this.#programs = new Map(programs.map((program) => [program.name, program]));
  }

  get launcher(): Launcher {
    return this.#native.launcher;
  }

  async boot(): Promise<void> {
    await this.#native.boot();
  }

  async start(request: StartRequest): Promise<RunningContainer> {
    const { runtime = nativeName } = request;
    if (runtime === nativeName) {
      await rm(programFile(this.#directory(request.id)), { force: true }); // of another run, by another runtime
      return this.#native.start(request);
    }
    const program = this.#programs.get(runtime);
    if (program === undefined) {
      throw new EngineError(
        'invalid',
        `unknown or invalid runtime name: ${runtime}. It was configured when the container was created: configure it again (--add-runtime ${runtime}=PATH), or create the container anew`,
      );
    }
    return this.#of(program).start(request);
  }

  async adopt(id: ContainerId, cgroupsPath: string | null = null, kept?: KeptByMonitor): Promise<RunningContainer | ExitStatus | 'lost'> {
    const program = await this.#programOf(id);
    return (program === null ? this.#native : this.#of(program)).adopt(id, cgroupsPath, kept);
  }

  /** The daemon leaves; containers, monitors and launcher stay. */
  async close(): Promise<void> {
    for (const runtime of [...this.#others.values(), this.#native]) await runtime.close();
  }

  #of(program: OciProgram): NativeRuntime {
    const key = JSON.stringify(program);
    const known = this.#others.get(key);
    if (known !== undefined) return known;
    const made = new NativeRuntime({
      ...this.#options,
      name: program.name,
      launcher: this.#native.launcher,
      compile: ociCompiler(program, this.#options.execRoot),
    });
    this.#others.set(key, made);
    return made;
  }

  #directory(id: ContainerId): string {
    return join(this.#options.execRoot, 'c', id);
  }

  async #programOf(id: ContainerId): Promise<OciProgram | null> {
    try {
      return JSON.parse(await readFile(programFile(this.#directory(id)), 'utf8')) as OciProgram;
    } catch (thrown) {
      // Half written: the daemon died before it asked for a start.
      if (hasErrnoCode(thrown, 'ENOENT') || thrown instanceof SyntaxError) return null;
      throw thrown;
    }
  }
}
