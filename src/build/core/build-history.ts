/** The builds of this daemon, latest first: bounded, and kept over restarts in one small file. What a killed daemon was building is told as an error. */
import { readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { ImageId } from '../../base/brand.ts';
import { errorText, hasErrnoCode } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import type { BuildRecord } from '../builder.ts';

export interface BuildHistory {
  begin(record: BuildRecord): BuildHistoryEntry;
  /** Latest first. */
  records(): readonly BuildRecord[];
}

export interface BuildHistoryEntry {
  end(change: Omit<BuildRecord, 'id' | 'name' | 'startedAt'>): void;
}

const keptRecords = 200;
const keptErrorLength = 2000;
const beginDelayMs = 200;

export function memoryHistory(
  earlier: readonly BuildRecord[] = [],
  changed: (records: readonly BuildRecord[], hasEnded: boolean) => void = () => {},
): BuildHistory {
  const records: BuildRecord[] = [...earlier];
  return {
    begin(record) {
      let mine = record;
      records.unshift(mine);
      records.splice(keptRecords);
      changed(records, false);
      return {
        end(change) {
          const at = records.indexOf(mine);
          mine = { ...mine, ...change, error: change.error?.slice(0, keptErrorLength) ?? null };
          if (at !== -1) records[at] = mine;
          changed(records, true);
        },
      };
    },
    records: () => records,
  };
}

/**
 * Written one after the other, the latest state only; a failure is logged, as no build fails for want of its history. What begins is written a moment later: most builds whose steps are cached
 * have ended by then, and none waits for the disk behind its own history.
 */
export function fileHistory(path: string, logger: Logger = silentLogger): BuildHistory {
  let wanted: readonly BuildRecord[] | null = null;
  let isWriting = false;
  let timer: NodeJS.Timeout | null = null;
  const write = async () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (isWriting) return;
    isWriting = true;
    while (wanted !== null) {
      const text = JSON.stringify(wanted);
      wanted = null;
      await replaceFile(path, text).catch((error: unknown) =>
        logger.warn({ path, error: errorText(error) }, 'the history of builds could not be written'),
      );
    }
    isWriting = false;
  };
  return memoryHistory(readRecords(path, logger), (records, hasEnded) => {
    wanted = records;
    if (hasEnded) void write();
    else timer ??= setTimeout(() => void write(), beginDelayMs).unref();
  });
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

function readRecords(path: string, logger: Logger): readonly BuildRecord[] {
  try {
    const stored = JSON.parse(readFileSync(path, 'utf8')) as readonly StoredRecord[];
    return stored.slice(0, keptRecords).map(revived);
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT'))
      logger.warn({ path, error: errorText(error) }, 'the history of builds cannot be read: it begins anew');
    return [];
  }
}

type StoredRecord = Omit<BuildRecord, 'startedAt' | 'completedAt'> & { readonly startedAt: string; readonly completedAt: string | null };

function revived(stored: StoredRecord): BuildRecord {
  const startedAt = new Date(stored.startedAt);
  const ended = stored.status !== 'running';
  return {
    ...stored,
    startedAt,
    completedAt: stored.completedAt === null ? (ended ? null : startedAt) : new Date(stored.completedAt),
    status: ended ? stored.status : 'error',
    error: ended ? stored.error : 'the daemon was stopped during the build',
    imageId: stored.imageId as ImageId | null,
  };
}
