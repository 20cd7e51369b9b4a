/** Docker's contexts: `<config>/contexts/meta/<sha256 of the name>/meta.json`. `default` is no file: it is the daemon of this machine. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { hasErrnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';

export interface Context {
  readonly name: string;
  readonly description: string;
  readonly address: string;
  readonly skipTlsVerify: boolean;
}

interface ContextFile {
  readonly Name?: string;
  readonly Metadata?: { readonly Description?: string };
  readonly Endpoints?: { readonly docker?: { readonly Host?: string; readonly SkipTLSVerify?: boolean } };
}

export const DEFAULT_CONTEXT = 'default';

export function readContext(configDirectory: string, name: string): Context {
  const path = `${configDirectory}/contexts/meta/${directoryOf(name)}/meta.json`;
  try {
    return toContext(JSON.parse(readFileSync(path, 'utf8')) as ContextFile);
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw new CliError(
      `context "${name}" not found: there is no ${path}; \`gantry context use default\` goes back to this machine's daemon`,
    );
  }
}

/** Holds `ca.pem`, `cert.pem` and `key.pem`, as far as the context has them. */
export function contextTlsDirectory(configDirectory: string, name: string): string {
  return `${configDirectory}/contexts/tls/${directoryOf(name)}/docker`;
}

function directoryOf(name: string): string {
  return createHash('sha256').update(name).digest('hex');
}

/** Sorted by name, without `default`. */
export function listContexts(configDirectory: string): Context[] {
  const root = `${configDirectory}/contexts/meta`;
  let names: string[];
  try {
    names = readdirSync(root);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
  const contexts = names.map((name) => toContext(JSON.parse(readFileSync(`${root}/${name}/meta.json`, 'utf8')) as ContextFile));
  return contexts.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function toContext(file: ContextFile): Context {
  const docker = file.Endpoints?.docker;
  return {
    name: file.Name ?? '',
    description: file.Metadata?.Description ?? '',
    address: docker?.Host ?? '',
    skipTlsVerify: docker?.SkipTLSVerify === true,
  };
}
