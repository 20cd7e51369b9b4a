/** Audits the layer store: directories and links that no layer of ours is, layers that nobody stands on, and layers that are gone from the disk. */
import { lstat, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrnoCode } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';

/** What the store knows, at the moment of the look. */
export interface LayerAudit {
  readonly root: string;
  readonly links: string;
  readonly initLayer: string;
  /** Directory name → name of its link. */
  readonly known: ReadonlyMap<string, string>;
  /** Something is being unpacked or removed: temporary directories are somebody's. */
  isBusy(): boolean;
  isPinned(name: string): boolean;
  /** With everything in it, off the event loop. */
  remove(name: string): Promise<void>;
}

/** Directory name → who stands on it, in words. */
export type LayerUsers = ReadonlyMap<string, string>;

export async function auditLayers(audit: LayerAudit, users: LayerUsers, sweep: () => Promise<void>): Promise<readonly Finding[]> {
  const { root, links, known } = audit;
  const names = new Set(await readdir(root));
  const found: Finding[] = [];
  for (const name of names) if (!isExpected(audit, name)) found.push(stray(audit, name));
  for (const name of known.keys()) {
    if (!names.has(name)) found.push(gone(name, users.get(name) ?? 'nobody'));
    else if (!users.has(name) && !audit.isPinned(name) && !audit.isBusy())
      found.push({
        kind: 'layer',
        what: name,
        why: 'no image and no container stands on it',
        repair: { does: 'removes it', run: sweep },
      });
  }
  for (const [name, by] of users) if (!known.has(name)) found.push(gone(name, by));
  return [...found, ...(await strayLinks(links, audit, known))];
}

function isExpected(audit: LayerAudit, name: string): boolean {
  return audit.known.has(name) || name === 'l' || name.startsWith('init-') || (name.startsWith('tmp-') && audit.isBusy());
}

/** A layer that is just being unpacked appears on the disk a moment before it is known. */
function stray(audit: LayerAudit, name: string): Finding {
  const path = join(audit.root, name);
  return {
    kind: 'directory',
    what: path,
    why: name.startsWith('tmp-') ? 'nobody is unpacking or removing it' : 'it is no layer of ours, or it is damaged',
    repair: {
      does: 'removes it',
      run: async () => {
        if (!audit.isBusy() && !audit.known.has(name)) await audit.remove(name);
      },
    },
  };
}

function gone(name: string, by: string): Finding {
  return { kind: 'layer', what: name, why: `its directory is missing, and ${by} stands on it: load or pull the image again`, repair: null };
}

async function strayLinks(links: string, audit: LayerAudit, known: ReadonlyMap<string, string>): Promise<readonly Finding[]> {
  const expected = new Map([...known].map(([name, short]) => [short, name]));
  const found: Finding[] = [];
  for (const short of await readdir(links)) {
    if (short === audit.initLayer) continue;
    const path = join(links, short);
    const target = await targetOf(path);
    if (target === null || expected.get(short) === target) continue;
    found.push({
      kind: 'file',
      what: path,
      why: 'it leads to no layer',
      repair: {
        does: 'removes it',
        run: async () => {
          if (![...audit.known.values()].includes(short)) await rm(path, { force: true });
        },
      },
    });
  }
  for (const [short, name] of expected) {
    const stats = await lstat(join(links, short)).catch(() => null);
    if (stats === null)
      found.push({ kind: 'file', what: join(links, short), why: `the link to layer ${name} is missing: restart the daemon`, repair: null });
  }
  return found;
}

/** Null: gone meanwhile. */
async function targetOf(path: string): Promise<string | null> {
  try {
    return (await readlink(path)).split('/')[1] ?? '';
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    if (hasErrnoCode(error, 'EINVAL')) return '';
    throw error;
  }
}
