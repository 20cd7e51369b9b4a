/** A registry server of the tests as a process of its own: Debian's `docker-registry`. Listens on a port of the kernel's choice, starts in a few hundred milliseconds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RegistryContent } from './fault-registry/registry-content.ts';
import { seedRegistry } from './seed-registry.ts';

export interface RegistryProcess {
  /** `127.0.0.1:port`, as in image names. */
  readonly host: string;
  readonly url: string;
  readonly directory: string;
  readonly pid: number;
  log(): string;
  /** Ends it by SIGTERM and removes its directory. */
  dispose(): Promise<void>;
}

export interface DebianRegistryOptions {
  /** What it holds from the start; pushed by HTTP, so not where the registry is out of reach or asks for passwords. */
  readonly content?: RegistryContent;
  /** Lines of an htpasswd file (bcrypt). */
  readonly htpasswd?: string;
  /** Paths of PEM files. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** It is a pull-through cache of this registry. */
  readonly proxyOf?: string;
  /** Where it keeps its data, instead of in its own directory: outlives it, and another one may use it. */
  readonly storage?: string;
  /** Ends in what takes a command line: `nsenter`, …. */
  readonly wrapper?: readonly string[];
}

export function debianRegistryMissing(): string | null {
  return existsSync('/usr/bin/docker-registry') ? null : 'needs docker-registry (apt-get install docker-registry)';
}

export async function startDebianRegistry(options: DebianRegistryOptions = {}): Promise<RegistryProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-registry-'));
  writeFileSync(join(directory, 'config.yml'), configuration(directory, options));
  const command = [...(options.wrapper ?? []), '/usr/bin/docker-registry', 'serve', join(directory, 'config.yml')];
  const log = join(directory, 'log');
  const child = spawn('/bin/sh', ['-c', 'exec "$@" >"$LOG" 2>&1', 'sh', ...command], {
    stdio: 'ignore',
    env: { ...process.env, LOG: log },
  });
  const registry = await runningRegistry(child, directory, /listening on (127\.0\.0\.1:\d+)/, options.tls === undefined ? 'http' : 'https');
  if (options.content !== undefined) await seedRegistry(registry.url, options.content);
  return registry;
}

function configuration(directory: string, { htpasswd, tls, proxyOf, storage = join(directory, 'data') }: DebianRegistryOptions): string {
  if (htpasswd !== undefined) writeFileSync(join(directory, 'htpasswd'), htpasswd);
  const http = { addr: '127.0.0.1:0', ...(tls === undefined ? {} : { tls: { certificate: tls.certificate, key: tls.key } }) };
  // JSON is YAML.
  return JSON.stringify({
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: storage },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http,
    ...(htpasswd === undefined ? {} : { auth: { htpasswd: { realm: 'test', path: join(directory, 'htpasswd') } } }),
    ...(proxyOf === undefined ? {} : { proxy: { remoteurl: proxyOf } }),
  });
}

/** Waits until its log says where it listens. */
export async function runningRegistry(child: ChildProcess, directory: string, listening: RegExp, scheme: string): Promise<RegistryProcess> {
  const log = (): string => (existsSync(join(directory, 'log')) ? readFileSync(join(directory, 'log'), 'utf8') : '');
  const dispose = async (): Promise<void> => {
    await endChild(child);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  for (let attempt = 0; attempt < 1000 && child.exitCode === null; attempt++) {
    const host = listening.exec(log())?.[1];
    if (host !== undefined) return { host, url: `${scheme}://${host}`, directory, pid: child.pid ?? -1, log, dispose };
    await delay(20);
  }
  const said = log().slice(-3000);
  await dispose();
  throw new Error(`the registry did not start: ${said}`);
}

/** SIGTERM, and SIGKILL for what does not listen to it. */
export async function endChild(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  process.kill(child.pid, signal);
  await Promise.race([ended, delay(15_000, undefined, { ref: false })]);
  if (child.exitCode === null && child.signalCode === null) process.kill(child.pid, 'SIGKILL');
  await ended;
}
