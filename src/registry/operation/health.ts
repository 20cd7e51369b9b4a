/** Whether the registry could take a push now: its folder takes a file, its records answer. Looked at once a second at most, whoever asks. */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

export interface HealthCheck {
  readonly name: string;
  look(): Promise<void>;
}

export type Health = { readonly kind: 'healthy' } | { readonly kind: 'failing'; readonly checks: readonly string[] };

const freshMs = 1000;
const patienceMs = 10_000;

export class HealthChecks {
  readonly #checks: readonly HealthCheck[];
  readonly #logger: Logger;
  #last: { readonly at: number; readonly health: Promise<Health> } | null = null;

  constructor(checks: readonly HealthCheck[], logger: Logger) {
    this.#checks = checks;
    this.#logger = logger;
  }

  look(): Promise<Health> {
    const now = performance.now();
    if (this.#last === null || now - this.#last.at > freshMs) this.#last = { at: now, health: this.#lookNow() };
    return this.#last.health;
  }

  async #lookNow(): Promise<Health> {
    const failing = await Promise.all(this.#checks.map((check) => this.#lookAt(check)));
    const checks = failing.filter((name) => name !== null);
    return checks.length === 0 ? { kind: 'healthy' } : { kind: 'failing', checks };
  }

  async #lookAt({ name, look }: HealthCheck): Promise<string | null> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no answer for ${patienceMs / 1000} s`)), patienceMs);
    try {
      await Promise.race([look(), late.promise]);
      return null;
    } catch (error) {
      this.#logger.error({ check: name, error: errorText(error) }, 'a health check failed');
      return name;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A file is made, written through to the disk and removed. */
export function writableFolder(root: string): HealthCheck {
  const path = join(root, 'healthz.tmp');
  return {
    name: 'storage',
    async look() {
      const file = await open(path, 'w', 0o600);
      try {
        await file.writeFile('.');
        await file.sync();
      } finally {
        await file.close();
      }
      await rm(path);
    },
  };
}
