/** Audits the builder's directories: what nobody knows of, and, while no build runs, what a build would be using. The cache's layers and blobs are looked at with those of the images. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrnoCode } from '../../base/errors.ts';
import type { Finding } from '../../base/finding.ts';

export interface BuildAudit {
  /** `<data-root>/build` */
  readonly root: string;
  /** A build runs: workspaces and contexts are somebody's. */
  isBusy(): boolean;
}

const known = ['tmp', 'steps', 'contexts', 'mounts', 'history.json', 'history.json.new'];

export async function auditBuild(audit: BuildAudit): Promise<readonly Finding[]> {
  const { root } = audit;
  const strangers = (await namesIn(root)).filter((name) => !known.includes(name)).map((name) => join(root, name));
  if (audit.isBusy()) return strangers.map(stranger);
  const work = (await namesIn(join(root, 'tmp'))).filter((name) => name !== 'empty').map((name) => join(root, 'tmp', name));
  const contexts = (await namesIn(join(root, 'contexts')))
    .filter((name) => name.startsWith('t-'))
    .map((name) => join(root, 'contexts', name));
  return [...strangers.map(stranger), ...[...work, ...contexts].map((path) => leftover(path, audit))];
}

function stranger(path: string): Finding {
  return { kind: 'file', what: path, why: 'it is no part of the builder', repair: null };
}

function leftover(path: string, audit: BuildAudit): Finding {
  return {
    kind: 'directory',
    what: path,
    why: 'no build that runs is using it',
    repair: {
      does: 'removes it',
      run: async () => {
        if (!audit.isBusy()) await rm(path, { recursive: true, force: true });
      },
    },
  };
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return [];
    throw error;
  }
}
