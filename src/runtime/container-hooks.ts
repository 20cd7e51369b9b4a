/**
 * The hooks of one container that the daemon runs, over its life:
 *
 *   remember ──▶ (plan sent) ──▶ beforeStart at the checkpoint ──▶ afterStart ──▶ … ──▶ afterEnd, also when the start failed
 *
 * With a program of an OCI runtime the program runs them all; only those of its `delete` are made up for, when it never came to that.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Hook, HookPoint, RuntimeSpec } from '../oci/runtime-spec.ts';
import { type PendingHooks, readPendingHooks, writePendingHooks } from './hook-record.ts';
import { hasHooks, hookState, hooksAt } from './hooks.ts';
import { configForHooks } from './oci-config.ts';
import { endFormerHook, HookRunner } from './run-hook.ts';
import type { Rootfs, StartRequest } from './runtime.ts';
import { startProblem } from './start-failure.ts';

export class ContainerHooks {
  readonly #runner = new HookRunner();
  readonly #logger: Logger | undefined;
  /** Of containers that were adopted while theirs were still to be run. */
  readonly #late = new Map<string, Promise<void>>();
  /** Of a program that runs hooks itself: whether those of the end are still to be run. Null: we run them. */
  readonly #owesPoststop: ((directory: string, id: string) => boolean) | null;

  constructor(logger: Logger | undefined, owesPoststop: ((directory: string, id: string) => boolean) | null) {
    this.#logger = logger;
    this.#owesPoststop = owesPoststop;
  }

  /** Before anything of the container exists; `directory` becomes its bundle. */
  async remember({ id, spec, rootfs }: StartRequest, directory: string): Promise<void> {
    if (!hasHooks(spec)) {
      // Of a run that nobody came to end.
      if (existsSync(join(directory, 'hooks.json'))) await writePendingHooks(directory, null);
      return;
    }
    const { ociVersion, bundle, annotations } = hookState(spec, { id, bundle: directory }, 'creating');
    const hooks = spec.hooks ?? {};
    const poststart = this.#owesPoststop === null ? (hooks.poststart ?? []) : [];
    await writePendingHooks(directory, { state: { ociVersion, id, bundle, annotations }, poststart, poststop: hooks.poststop ?? [] });
    if (this.#owesPoststop === null) await writeFile(join(directory, 'config.json'), configForHooks(spec, rootOf(rootfs)), { mode: 0o600 });
  }

  /** At the checkpoint. Throws why the start has to be given up. */
  async beforeStart(id: string, spec: RuntimeSpec, directory: string, pid: number): Promise<void> {
    const state = hookState(spec, { id, bundle: directory }, 'creating', pid);
    for (const { point, hook } of hooksAt(spec, 'prestart', 'createRuntime')) {
      try {
        await this.#runner.run(point, hook, state);
      } catch (thrown) {
        throw startProblem(errorText(thrown), 'container', thrown);
      }
    }
  }

  /** The process runs. */
  async afterStart(directory: string, pid: number): Promise<void> {
    const pending = await this.#pending(directory);
    if (pending === null || pending.poststart.length === 0) return;
    await this.#runLogged('poststart', pending.poststart, { ...pending, status: 'running', pid });
    await this.#tolerate(pending, writePendingHooks(directory, { ...pending, poststart: [] }));
  }

  /** As `afterStart`, for a container that another daemon started: nobody waits. */
  catchUp(directory: string, pid: number): void {
    endFormerHook(directory);
    const run = this.afterStart(directory, pid).finally(() => this.#late.delete(directory));
    this.#late.set(directory, run);
  }

  /** Nothing of the container exists any more. Twice is once. */
  async afterEnd(directory: string): Promise<void> {
    await this.#late.get(directory);
    endFormerHook(directory);
    const pending = await this.#pending(directory);
    if (pending === null) return;
    const isOurs = this.#owesPoststop?.(directory, pending.state.id) ?? true;
    if (isOurs) await this.#runLogged('poststop', pending.poststop, { ...pending, status: 'stopped' });
    await this.#tolerate(pending, writePendingHooks(directory, null));
  }

  /** The daemon leaves. */
  close(): void {
    this.#runner.endAll();
  }

  async #pending(directory: string): Promise<PendingHooks | null> {
    // The usual case costs one look.
    if (!existsSync(join(directory, 'hooks.json'))) return null;
    try {
      return await readPendingHooks(directory);
    } catch (thrown) {
      this.#logger?.error({ directory, error: errorText(thrown) }, 'cannot read which hooks of a container are still to be run');
      return null;
    }
  }

  async #runLogged(
    point: HookPoint,
    hooks: readonly Hook[],
    { state, ...now }: PendingHooks & { readonly status: 'running' | 'stopped'; readonly pid?: number },
  ): Promise<void> {
    const { status, pid } = now;
    for (const hook of hooks) {
      const told = { ...state, status, ...(pid === undefined ? {} : { pid }) };
      await this.#runner.run(point, hook, told).catch((thrown: unknown) => {
        this.#logger?.error({ container: state.id, error: errorText(thrown) }, `a ${point} hook of a container failed`);
      });
    }
  }

  async #tolerate({ state }: PendingHooks, work: Promise<void>): Promise<void> {
    await work.catch((thrown: unknown) => {
      this.#logger?.error({ container: state.id, error: errorText(thrown) }, 'cannot note that hooks of a container have been run');
    });
  }
}

function rootOf(rootfs: Rootfs): string {
  return rootfs.kind === 'overlay' ? rootfs.target : rootfs.path;
}
