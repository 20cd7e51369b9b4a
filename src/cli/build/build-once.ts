/** One build, from its session to its exit code: shown while it runs, then files, texts, and what is to be said of a failure. */
import { ApiError } from '../../client/api-client.ts';
import { BuildFailedError, type BuildResult } from '../../client/build-types.ts';
import { ExitWithCode } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { type FinishedBuild, runSession, type StartBuild } from './build-session.ts';
import type { PreparedContexts } from './context/prepare-contexts.ts';
import type { Interruption } from './interruption.ts';
import type { BuildOptions, ProgressMode } from './options/build-options.ts';
import { resultId, writeResultFiles } from './output/result-files.ts';
import type { BuildDisplay } from './progress/build-display.ts';
import { BuildModel } from './progress/build-model.ts';
import { chooseDisplay } from './progress/choose-display.ts';
import { explanationsText, failureText, warningsText } from './progress/closing-text.ts';

export interface BuildRun {
  readonly options: BuildOptions;
  readonly prepared: PreparedContexts;
  readonly start: StartBuild;
  readonly interruption: Interruption;
  readonly progress: ProgressMode;
}

export interface BuildEnd {
  readonly exitCode: number;
  /** Null: it failed, or another daemon built it. */
  readonly result: BuildResult | null;
  readonly model: BuildModel;
}

export async function buildOnce(context: CommandContext, run: BuildRun): Promise<BuildEnd> {
  const { options, interruption, progress } = run;
  const model = new BuildModel();
  const display = new LateDisplay(() => chooseDisplay(progress, context.io));
  const onEvent: Parameters<typeof runSession>[1]['onEvent'] = (event) => {
    model.accept(event);
    display.show(event);
  };
  try {
    const finished = await runSession(context, { ...run, onEvent }, interruption.signal);
    display.end();
    return { exitCode: conclude(context, run, finished, model), result: finished.result, model };
  } catch (error) {
    display.end();
    if (interruption.happened) throw canceled(context, interruption);
    const exitCode = isOtherDaemon(error) ? await buildElsewhere(context, run) : await fail(context, run, error, model);
    return { exitCode, result: null, model };
  } finally {
    if (options.explain) context.print(explanationsText(model.steps));
  }
}

function canceled(context: CommandContext, { exitCode }: Interruption): ExitWithCode {
  context.printError('ERROR: failed to solve: context canceled\n');
  return new ExitWithCode(exitCode);
}

async function buildElsewhere(context: CommandContext, run: BuildRun): Promise<number> {
  const { classicBuild } = await import('./classic/classic-build.ts');
  try {
    return await classicBuild(context, run, run.interruption.signal);
  } catch (error) {
    throw run.interruption.happened ? canceled(context, run.interruption) : error;
  }
}

/** Nothing is drawn before the daemon has said something: what cannot be built at all has an error only. */
class LateDisplay implements BuildDisplay {
  readonly #open: () => BuildDisplay;
  #display: BuildDisplay | null = null;

  constructor(open: () => BuildDisplay) {
    this.#open = open;
  }

  show(event: Parameters<BuildDisplay['show']>[0]): void {
    this.#display ??= this.#open();
    this.#display.show(event);
  }

  end(): void {
    this.#display?.end();
    this.#display = null;
  }
}

/** It does not know the path, or not even our version of the API. */
function isOtherDaemon(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 404 || error.status === 405 || (error.status === 400 && /client version .* is too new/.test(error.message));
}

function conclude(context: CommandContext, { options, progress }: BuildRun, { id, result }: FinishedBuild, model: BuildModel): number {
  writeResultFiles(options, result, id, context.io.cwd);
  const { answer } = result;
  if (answer !== null) {
    context.print(options.call.json ? `${JSON.stringify(answer.json, null, 2)}\n` : answer.text.replace(/\n*$/, '\n'));
    return options.call.ignoresStatus || isGood(options, result) ? 0 : 1;
  }
  const name = resultId(result);
  const usesStdout = options.outputs.some(({ destination }) => destination?.kind === 'stdout');
  if (options.progress === 'quiet' && name !== null && !usesStdout) context.print(`${name}\n`);
  if (progress !== 'quiet' && progress !== 'rawjson')
    context.printError(warningsText(result.warnings.length > 0 ? result.warnings : model.warnings));
  return 0;
}

/** What the answer of a call says about the exit code. */
function isGood({ call, verify }: BuildOptions, { warnings, answer }: BuildResult): boolean {
  if (call.kind === 'check') return warnings.length === 0;
  return !verify || (answer?.json as { readonly identical?: boolean } | null)?.identical !== false;
}

async function fail(context: CommandContext, run: BuildRun, error: unknown, model: BuildModel): Promise<number> {
  if (!(error instanceof BuildFailedError)) {
    if (!(error instanceof ApiError)) throw error;
    context.printError(`ERROR: failed to solve: ${errorMessage(error)}\n`);
    return 1;
  }
  if (run.progress !== 'rawjson') context.printError(warningsText(model.warnings));
  context.printError(failureText(error.failure));
  const { stateImage } = error.failure;
  if (run.options.shellOnError && stateImage !== null) await (await import('./failed-shell.ts')).openFailedShell(context, stateImage);
  return 1;
}
