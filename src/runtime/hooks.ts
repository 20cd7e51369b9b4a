/**
 * OCI hooks (config.md, "POSIX-platform Hooks") of the native runtime: who runs which, and what they are told. Pure.
 *
 *   prestart, createRuntime   by the daemon, in its own namespaces and cgroups, while the container's process waits at a `checkpoint`: its root is mounted, not entered
 *   createContainer           by that process, in its namespaces, while the host's files are still where they are
 *   startContainer            by that process, from the container's own files, confined as what is started next
 *   poststart, poststop       by the daemon; a failure is logged and changes nothing
 *
 * Hooks come from descriptions of devices on this host, never from an image or a request. They get the environment that is written there and nothing else.
 */
import { posix } from 'node:path';
import { invalid } from '../base/errors.ts';
import type { Hook, HookPoint, RuntimeSpec } from '../oci/runtime-spec.ts';
import type { PlannedStep, Step } from './plan.ts';

/** Of a hook whose description names no time-out. */
export const hookPatienceSeconds = 60;

/** What a hook reads on its standard input: runtime.md, "State". `pid` as whoever reads it sees the process; absent once it is gone. */
export interface HookState {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: 'creating' | 'created' | 'running' | 'stopped';
  readonly pid?: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface HookPlace {
  readonly id: string;
  /** Directory of the `config.json` that is written for hooks. */
  readonly bundle: string;
}

export function hooksAt({ hooks = {} }: RuntimeSpec, ...points: readonly HookPoint[]): readonly { point: HookPoint; hook: Hook }[] {
  return points.flatMap((point) => (hooks[point] ?? []).map((hook) => ({ point, hook })));
}

export function hasHooks({ hooks = {} }: RuntimeSpec): boolean {
  return Object.values(hooks).some((list) => list.length > 0);
}

export function hookState(spec: RuntimeSpec, { id, bundle }: HookPlace, status: HookState['status'], pid?: number): HookState {
  return { ociVersion: spec.ociVersion, id, status, ...(pid === undefined ? {} : { pid }), bundle, annotations: spec.annotations ?? {} };
}

export function patienceMsOf({ timeout = hookPatienceSeconds }: Hook): number {
  return timeout * 1000;
}

/** With the name of the program first. */
export function argvOf({ path, args = [] }: Hook): readonly string[] {
  return args.length === 0 ? [path] : args;
}

/** Where the daemon runs those of its own namespaces. */
export function checkpointSteps(spec: RuntimeSpec): PlannedStep[] {
  if (hooksAt(spec, 'prestart', 'createRuntime').length === 0) return [];
  return [{ step: { op: 'checkpoint' }, reason: 'hooks of the host have their say', failure: 'wait for the hooks of the host' }];
}

export function createContainerSteps(spec: RuntimeSpec, place: HookPlace): PlannedStep[] {
  return hooksAt(spec, 'createContainer').map(({ point, hook }) => hookStep(hook, point, hookState(spec, place, 'creating', 0), false));
}

export function startContainerSteps(spec: RuntimeSpec, place: HookPlace): PlannedStep[] {
  return hooksAt(spec, 'startContainer').map(({ point, hook }) => hookStep(hook, point, hookState(spec, place, 'created', 0), true));
}

function hookStep(hook: Hook, point: HookPoint, state: HookState, confined: boolean): PlannedStep {
  const [before = '', after = ''] = JSON.stringify(state).split('"pid":0', 2);
  const step: Step = {
    op: 'hook',
    path: hook.path,
    directory: state.bundle,
    before: `${before}"pid":`,
    after,
    argv: argvOf(hook),
    env: hook.env ?? [],
    confined,
    timeoutMs: patienceMsOf(hook),
  };
  return { step, reason: 'a description of a device asks for it', failure: `run ${hookTitle(point, hook)}` };
}

export function hookTitle(point: HookPoint, { path }: Hook): string {
  return `the ${point} hook ${path}`;
}

export type HookEnd = 'timeout' | { readonly code: number | null; readonly signal: string | null };

/** How it ended, for people; `said`: what it wrote, of which the last lines are told. */
export function hookEndText(end: HookEnd, timeoutMs: number, said: string): string {
  const how = end === 'timeout' ? `did not end within ${timeoutMs / 1000} s and was killed` : endText(end);
  const lines = lastLines(said);
  return `it ${how}${lines === '' ? '' : `: ${lines}`}`;
}

function endText({ code, signal }: Exclude<HookEnd, 'timeout'>): string {
  return code === null ? `was ended by ${signal ?? 'a signal'}` : `ended with status ${code}`;
}

const toldLines = 5;

/** A program of an image may have written it, and it comes to a terminal. */
export function lastLines(text: string): string {
  const lines = text.split('\n').map((line) => line.replace(/\p{Cc}/gu, ' ').trim());
  return lines
    .filter((line) => line !== '')
    .slice(-toldLines)
    .join('; ');
}

const maxTimeoutSeconds = 24 * 3600;

export function checkHooks(spec: RuntimeSpec): void {
  for (const { point, hook } of hooksAt(spec, ...hookPoints)) {
    if (!posix.isAbsolute(hook.path)) throw invalid(`The path of ${hookTitle(point, hook)} must be absolute`);
    const { timeout = hookPatienceSeconds } = hook;
    if (!Number.isInteger(timeout) || timeout <= 0 || timeout > maxTimeoutSeconds) {
      throw invalid(`The time-out of ${hookTitle(point, hook)} must be 1 to ${maxTimeoutSeconds} seconds, not ${timeout}`);
    }
    const wrong = (hook.env ?? []).find((entry) => entry.indexOf('=') <= 0);
    if (wrong !== undefined) throw invalid(`The environment of ${hookTitle(point, hook)} has "${wrong}", which is not NAME=value`);
  }
}

export const hookPoints: readonly HookPoint[] = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'];
