/**
 * `gantry system fsck`: the audits of all folders, put together.
 *
 *   look ─▶ look again ─▶ … what is in every look is a finding ─▶ (repair) ─▶ look again: what is left
 *
 * Beside live work a single look always sees something half made; what is on its way is gone, or somebody's, a moment later. Repairs run one after the other, and each
 * looks again under the lock of whoever may use the thing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FsckFinding, FsckOptions, FsckReport } from '../api/fsck.ts';
import { errorText } from '../base/errors.ts';
import type { AuditOptions, Finding } from '../base/finding.ts';
import type { Logger } from '../base/log.ts';

export type Audit = (options: AuditOptions) => Promise<readonly Finding[]>;

export interface FsckParts {
  readonly audits: readonly Audit[];
  readonly logger: Logger;
  /** Between two looks; the kernel and leaving monitors take some milliseconds, prepared interfaces up to a few hundred. */
  readonly pauseMs?: number;
  readonly looks?: number;
}

const defaultPauseMs = 200;
const defaultLooks = 6;

export function createFsck({
  audits,
  logger,
  pauseMs = defaultPauseMs,
  looks = defaultLooks,
}: FsckParts): (options: FsckOptions) => Promise<FsckReport> {
  let last: Promise<unknown> = Promise.resolve();

  async function look(options: AuditOptions): Promise<ReadonlyMap<string, Finding>> {
    const found = await Promise.all(audits.map((audit) => audit(options)));
    return new Map(found.flat().map((finding) => [`${finding.kind} ${finding.what}`, finding]));
  }

  /** Every byte is read once only. */
  async function findings({ deep }: AuditOptions): Promise<readonly Finding[]> {
    let found = await look({ deep });
    for (let again = 1; again < looks && found.size > 0; again++) {
      await delay(pauseMs);
      const now = await look({ deep: false });
      found = new Map([...found].filter(([key, finding]) => now.has(key) || finding.deep === true));
    }
    return [...found.values()];
  }

  async function run({ deep, repair }: FsckOptions): Promise<FsckReport> {
    const found = await findings({ deep });
    if (!repair || found.length === 0) return { findings: found.map((finding) => reported(finding, 'found')) };
    const outcomes = [];
    for (const finding of found) outcomes.push(reported(finding, await repaired(finding, logger)));
    return { findings: outcomes };
  }

  // One after the other: two repairs of the same thing would report each other's work as failures.
  return (options) => {
    const mine = last.then(() => run(options));
    last = mine.catch(() => undefined);
    return mine;
  };
}

async function repaired({ kind, what, repair }: Finding, logger: Logger): Promise<FsckFinding['outcome']> {
  if (repair === null) return 'found';
  try {
    await repair.run();
    logger.info({ kind, what, repair: repair.does }, 'fsck repaired something');
    return 'repaired';
  } catch (error) {
    logger.error({ kind, what, error: errorText(error) }, 'fsck could not repair something');
    return { failed: errorText(error) };
  }
}

function reported({ kind, what, why, repair }: Finding, outcome: FsckFinding['outcome']): FsckFinding {
  return { kind, what, why, repair: repair?.does ?? null, outcome };
}
