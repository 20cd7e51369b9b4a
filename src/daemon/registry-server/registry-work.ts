/**
 * What is done to a registry besides serving it: garbage collection, retention, checking, new keys. In the server at intervals and on request (control-socket.ts), or by a
 * command on a root that nobody serves; each is one at a time.
 */
import { join } from 'node:path';
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { rotateKeys, type TokenKeys } from '../../registry/access/signing-keys.ts';
import type { RegistryMetrics } from '../../registry/operation/registry-metrics.ts';
import type { RetentionRemoval, RetentionReport } from '../../registry/policy/retention-run.ts';
import type { GarbageReport, RegistryFinding } from '../../registry/registry.ts';
import type { OpenRegistry } from './open-registry.ts';
import type { ServeOptions } from './serve-options.ts';

export type WorkName = 'gc' | 'check' | 'retention' | 'rotate-keys';

/** One line of what a work has to say, as JSON crosses the control socket. */
export type WorkLine =
  | { readonly kind: 'finding'; readonly finding: RegistryFinding }
  | { readonly kind: 'removal'; readonly removal: RetentionRemoval }
  | { readonly kind: 'garbage'; readonly report: GarbageReport }
  | { readonly kind: 'checked'; readonly blobs: number; readonly bytes: number }
  | { readonly kind: 'retained'; readonly report: RetentionReport }
  | { readonly kind: 'key'; readonly id: string }
  | { readonly kind: 'failed'; readonly message: string };

export interface WorkParts {
  readonly opened: OpenRegistry;
  readonly root: string;
  readonly options: () => Pick<ServeOptions, 'retention' | 'immutableTags' | 'access'>;
  readonly logger: Logger;
  readonly metrics: RegistryMetrics | null;
  readonly onKeys?: (keys: TokenKeys) => void;
}

export class RegistryWork {
  readonly #parts: WorkParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  /** Errors are thrown; a check runs beside the others. */
  async run(name: WorkName, dryRun: boolean, tell: (line: WorkLine) => void, signal?: AbortSignal): Promise<void> {
    if (name === 'check') return await this.#check(tell, signal);
    const turn = this.#last.then(() => this.#runNow(name, dryRun, tell, signal));
    this.#last = turn.catch(() => {});
    return await turn;
  }

  async settled(): Promise<void> {
    await this.#last;
  }

  async #runNow(name: Exclude<WorkName, 'check'>, dryRun: boolean, tell: (line: WorkLine) => void, signal?: AbortSignal): Promise<void> {
    switch (name) {
      case 'gc':
        return tell({ kind: 'garbage', report: await this.collect(dryRun, signal) });
      case 'retention':
        return tell({ kind: 'retained', report: await this.#retain(dryRun, (removal) => tell({ kind: 'removal', removal }), signal) });
      case 'rotate-keys':
        return tell({ kind: 'key', id: await this.#rotate() });
    }
  }

  async collect(dryRun: boolean, signal?: AbortSignal): Promise<GarbageReport> {
    const { opened, metrics, logger } = this.#parts;
    try {
      const report = await opened.registry.collectGarbage({ dryRun, ...(signal === undefined ? {} : { signal }) });
      if (dryRun) return report;
      metrics?.collections.add({ outcome: 'done' });
      metrics?.reclaimed.add({}, report.reclaimedBytes);
      logger.info({ ...report }, 'garbage was collected');
      return report;
    } catch (error) {
      metrics?.collections.add({ outcome: 'failed' });
      throw error;
    }
  }

  async #retain(dryRun: boolean, onRemoval: (removal: RetentionRemoval) => void, signal?: AbortSignal): Promise<RetentionReport> {
    const { opened, options, metrics, logger } = this.#parts;
    const { retention, immutableTags } = options();
    const report = await opened.retention.run({
      rules: retention.rules,
      immutable: immutableTags,
      dryRun,
      onRemoval,
      ...(signal === undefined ? {} : { signal }),
    });
    if (dryRun) return report;
    metrics?.expired.add({ kind: 'tag' }, report.tags);
    metrics?.expired.add({ kind: 'manifest' }, report.manifests);
    logger.info({ ...report }, 'the retention rules were applied');
    return report;
  }

  async #check(tell: (line: WorkLine) => void, signal?: AbortSignal): Promise<void> {
    const { blobs, bytes } = await this.#parts.opened.registry.check((finding) => tell({ kind: 'finding', finding }), signal);
    tell({ kind: 'checked', blobs, bytes });
  }

  async #rotate(): Promise<string> {
    const { root, options, onKeys } = this.#parts;
    const { lifetimeMs, refreshLifetimeMs } = options().access.token;
    const keys = await rotateKeys(tokenKeysFolder(root), Math.max(lifetimeMs, refreshLifetimeMs));
    onKeys?.(keys);
    return keys.signing.id;
  }
}

export function tokenKeysFolder(root: string): string {
  return join(root, 'token-keys');
}

/**
 * Again and again; a failure is told and the next turn comes. `intervalMs` is asked each time: a reload changes it; null: not now. The first turn comes within the hour, so
 * that a server that is restarted every day gets its turn too.
 */
export function repeatWork(intervalMs: () => number | null, run: () => Promise<void>, what: string, logger: Logger): Disposable {
  const [lookMs, firstMs] = [60_000, 3_600_000];
  const startedAt = Date.now();
  let [lastAt, isRunning]: [number | null, boolean] = [null, false];
  const look = async (): Promise<void> => {
    const interval = intervalMs();
    if (isRunning || interval === null) return;
    if (Date.now() < (lastAt === null ? startedAt + Math.min(interval, firstMs) : lastAt + interval)) return;
    isRunning = true;
    try {
      await run();
    } catch (error) {
      logger.error({ error: errorText(error) }, `${what} failed`);
    } finally {
      [lastAt, isRunning] = [Date.now(), false];
    }
  };
  const timer = setInterval(() => void look(), Math.min(lookMs, intervalMs() ?? lookMs)).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
