/** `gantry registry gc`, `check`, `retention`, `rotate-keys`: by the server of the root when one runs, else on the root itself. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { conflict } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import type { ToolCommand } from '../tool-command.ts';
import type { ToolFlag, ToolFlags } from '../tool-flags.ts';
import { askServer } from './control-socket.ts';
import { openRegistry } from './open-registry.ts';
import { openRegistryRoot } from './registry-root.ts';
import { RegistryWork, type WorkLine, type WorkName } from './registry-work.ts';
import { placeFlags, readConfigurationOf, readRoot } from './serve-options.ts';

const dryRun: ToolFlag = { name: 'dry-run', kind: 'switch', help: 'Only say what would go' };
const format: ToolFlag = { name: 'format', kind: 'text', help: 'text, or json: a line for each thing (default: text)' };

export const gcCommand = workCommand('gc', 'Remove what no repository needs, beside pushes and pulls', [dryRun]);
export const checkCommand = workCommand(
  'check',
  'Read every blob and compare it with its digest; look for what manifests name and nobody has',
  [],
);
export const retentionCommand = workCommand('retention', 'Apply the retention rules of the configuration now', [dryRun]);
export const rotateKeysCommand = workCommand('rotate-keys', 'Sign tokens with a new key; tokens that were signed before stay valid', []);

function workCommand(name: WorkName, summary: string, flags: readonly ToolFlag[]): ToolCommand {
  return {
    name,
    summary,
    usage: '[OPTIONS]',
    flags: [...placeFlags, ...flags, format],
    async run(given) {
      const isDry = given.isOn('dry-run') === true;
      let findings = 0;
      const tell = (line: WorkLine): void => {
        if (line.kind === 'finding') findings++;
        const text = given.text('format') === 'json' ? JSON.stringify(line) : describe(line, isDry);
        process.stdout.write(`${text}\n`);
      };
      const root = readRoot(given);
      if (!(await askServer(root, name, isDry, tell))) await workHere(root, given, name, isDry, tell);
      return findings > 0 ? 1 : 0;
    },
  };
}

async function workHere(path: string, given: ToolFlags, name: WorkName, isDry: boolean, tell: (line: WorkLine) => void): Promise<void> {
  const configuration = readConfigurationOf(given);
  refuseSharedRoot(path);
  using root = openRegistryRoot(path);
  const opened = await openRegistry(root.path, () => configuration, silentLogger);
  try {
    const work = new RegistryWork({ opened, root: root.path, options: () => configuration, logger: silentLogger, metrics: null });
    await work.run(name, isDry, tell);
  } finally {
    await opened.close();
  }
}

/** Of a registry in a daemon the blobs are the daemon's: nobody else may say which of them is needed. */
function refuseSharedRoot(path: string): void {
  if (existsSync(join(path, 'registry.db')) && !existsSync(join(path, 'blobs')) && existsSync(join(dirname(path), 'gantry.db')))
    throw conflict(
      `${path} is the registry of the daemon of ${dirname(path)}, which does not serve it now: start it with --with-registry first`,
    );
}

function describe(line: WorkLine, isDry: boolean): string {
  const [removed, freed] = isDry ? ['Would remove', 'would be reclaimed'] : ['Removed', 'reclaimed'];
  switch (line.kind) {
    case 'garbage': {
      const { removedBlobs, removedUploads, reclaimedBytes } = line.report;
      return `${removed} ${counted(removedBlobs, 'blob')} and ${counted(removedUploads, 'upload')}; ${sizeText(reclaimedBytes)} ${freed}`;
    }
    case 'removal': {
      const { repository, tag, digest } = line.removal;
      return `${removed} ${tag === null ? `${repository}@${digest}` : `${repository}:${tag} (${digest})`}`;
    }
    case 'retained': {
      const { repositories, tags, manifests } = line.report;
      return `${removed} ${counted(tags, 'tag')} and ${counted(manifests, 'manifest')} of ${counted(repositories, 'repository', 'repositories')}`;
    }
    case 'finding':
      return `${line.finding.kind}: ${line.finding.text}`;
    case 'checked':
      return `Checked ${counted(line.blobs, 'blob')}, ${sizeText(line.bytes)}`;
    case 'key':
      return `Tokens are signed with the key ${line.id} from now on`;
    case 'failed':
      return `Failed: ${line.message}`;
  }
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Decimal, as Docker shows sizes. */
function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const at = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** at).toPrecision(4))}${units[at]}`;
}
