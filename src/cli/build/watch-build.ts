/**
 * `--watch`: builds again whenever something changes that a build would see. Folders are watched one by one, those that the ignore file leaves out are not.
 *
 *     build ─▶ wait for a change ─▶ quiet for a moment ─▶ build …        until Ctrl-C
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errorText } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { buildOnce } from './build-once.ts';
import type { StartBuild } from './build-session.ts';
import { watchedFolders } from './context/local-files.ts';
import { type PreparedContexts, prepareContexts } from './context/prepare-contexts.ts';
import { Interruption } from './interruption.ts';
import type { BuildOptions } from './options/build-options.ts';
import { resultId } from './output/result-files.ts';
import type { BuildModel } from './progress/build-model.ts';

const QUIET_MS = 100;

export async function watchBuild(context: CommandContext, options: BuildOptions, start: StartBuild): Promise<number> {
  using interruption = new Interruption();
  let changed = '';
  for (let first = true; !interruption.happened; first = false) {
    const startedAt = Date.now();
    let prepared: PreparedContexts;
    try {
      prepared = await prepareContexts(options, context.io);
    } catch (error) {
      if (first) throw error;
      // The Dockerfile may be away for a moment, while an editor saves it.
      context.printError(`${timeOfDay()} not built: ${errorText(error)}\n`);
      await pause(1000, interruption.signal);
      continue;
    }
    using changes = watchContext(prepared, writtenPaths(options, context.io.cwd));
    const progress = first ? options.progress : 'quiet';
    const { exitCode, result, model } = await buildOnce(context, {
      options: first ? options : quietly(options),
      prepared,
      start,
      interruption,
      progress,
    });
    const what = exitCode === 0 && result !== null ? `built ${resultId(result) ?? ''}`.trim() : 'failed';
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    if (first) context.printError('\nWatching for changes; Ctrl-C ends it\n');
    else context.printError(`${timeOfDay()} ${changed} changed: ${what} in ${seconds}s (${stepCounts(model)})\n`);
    changed = await changes.next(interruption.signal);
  }
  return 0;
}

/** Its ID is in the line that tells of the build. */
function quietly(options: BuildOptions): BuildOptions {
  return { ...options, explain: false };
}

function stepCounts(model: BuildModel): string {
  const steps = model.steps.filter(({ name }) => /^\[(?!internal\])/.test(name));
  const cached = steps.filter((step) => step.cached).length;
  return `${steps.length - cached} of ${steps.length} steps run`;
}

function timeOfDay(): string {
  return new Date().toTimeString().slice(0, 8);
}

interface Changes extends Disposable {
  /** The path of the first that changed since the watch began; at once when something has. Empty: interrupted. */
  next(signal: AbortSignal): Promise<string>;
}

/** What a build writes itself is no reason to build again. */
function writtenPaths({ outputs, idFile, metadataFile }: BuildOptions, cwd: string): readonly string[] {
  const paths = outputs.map(({ destination }) => (destination === null || destination.kind === 'stdout' ? null : destination.path));
  return [...paths, idFile, metadataFile].filter((path) => path !== null).map((path) => resolve(cwd, path));
}

function watchContext({ folder }: PreparedContexts, written: readonly string[]): Changes {
  if (folder === null) throw new CliError('--watch needs a directory as build context');
  const { directory, ignore, files } = folder;
  const isWritten = (path: string): boolean => written.some((own) => path.startsWith(own));
  const watchers: FSWatcher[] = [];
  const seen = Promise.withResolvers<string>();
  let latest = 0;
  const note = (path: string): void => {
    latest = Date.now();
    seen.resolve(path);
  };
  const follow = (path: string, onChange: (name: string) => void): void => {
    try {
      const watcher = watch(path, (_, name) => onChange(name ?? ''));
      // The folder itself may go: its parent tells.
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch (error) {
      throw new CliError(`cannot watch ${path}: ${errorText(error)}. The kernel's fs.inotify.max_user_watches may be too low`, 1, {
        cause: error,
      });
    }
  };
  for (const path of watchedFolders(folder))
    follow(join(directory, path), (name) => {
      const file = path === '' ? name : `${path}/${name}`;
      if (!ignore.ignores(file) && !isWritten(join(directory, file))) note(file);
    });
  for (const place of new Set(files.map(dirname)))
    follow(place, (name) => {
      if (files.some((file) => dirname(file) === place && basename(file) === name)) note(name);
    });
  return {
    async next(signal) {
      const path = await Promise.race([seen.promise, aborted(signal)]);
      while (!signal.aborted && Date.now() - latest < QUIET_MS) await pause(QUIET_MS, signal);
      return path;
    },
    [Symbol.dispose]() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

function aborted(signal: AbortSignal): Promise<string> {
  if (signal.aborted) return Promise.resolve('');
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(''), { once: true }));
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await Promise.race([new Promise((wake) => setTimeout(wake, milliseconds)), aborted(signal)]);
}
