/** Our registry server as a process of its own; it can be killed and started again on the same storage and the same port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegistryContent } from './fault-registry/registry-content.ts';
import { programPath } from './program.ts';
import { endChild, type RegistryProcess, runningRegistry } from './registry-process.ts';
import { seedRegistry } from './seed-registry.ts';

export interface GantryRegistry extends RegistryProcess {
  readonly storage: string;
  /** SIGKILL. */
  crash(): Promise<void>;
  /** SIGTERM. */
  stop(): Promise<void>;
  /** On the same port. */
  restart(): Promise<void>;
}

export interface GantryRegistryOptions {
  readonly content?: RegistryContent;
  /** Of docs/registry.md; `listen` and `root` are ours to set. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Where the blobs are, instead of in its own directory: it must exist, and stays. */
  readonly storage?: string;
  readonly wrapper?: readonly string[];
  /** The bundle, or the source, in any case. */
  readonly bundled?: boolean;
}

export async function startGantryRegistry(options: GantryRegistryOptions = {}): Promise<GantryRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-registry-'));
  const storage = options.storage ?? join(directory, 'data');
  let { child, running } = await launch(directory, storage, '127.0.0.1:0', options);
  const { host, url } = running;
  const registry: GantryRegistry = {
    host,
    url,
    directory,
    storage,
    get pid() {
      return child.pid ?? -1;
    },
    log: () => running.log(),
    crash: () => endChild(child, 'SIGKILL'),
    stop: () => endChild(child),
    restart: async () => {
      ({ child, running } = await launch(directory, storage, host, options));
    },
    dispose: async () => {
      await endChild(child);
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  if (options.content !== undefined) await seedRegistry(url, options.content);
  return registry;
}

async function launch(
  directory: string,
  storage: string,
  listen: string,
  { configuration = {}, wrapper = [], bundled }: GantryRegistryOptions,
): Promise<{ readonly child: ChildProcess; readonly running: RegistryProcess }> {
  const file = join(directory, 'registry.json');
  writeFileSync(file, JSON.stringify({ ...configuration, listen, root: storage }));
  // The last run says where it listened; this one must say it itself.
  rmSync(join(directory, 'log'), { force: true });
  const entry = programPath(bundled === undefined ? {} : { bundle: bundled });
  const command = [...wrapper, process.execPath, '--no-warnings', entry, 'registry', 'serve', '--config', file];
  const env = { ...process.env, LOG: join(directory, 'log') };
  const child = spawn('/bin/sh', ['-c', 'exec "$@" >"$LOG" 2>&1', 'sh', ...command], { stdio: 'ignore', env });
  const running = await runningRegistry(
    child,
    directory,
    /^ready https?:\/\/(127\.0\.0\.1:\d+)/m,
    configuration.tls === undefined ? 'http' : 'https',
  );
  return { child, running };
}
