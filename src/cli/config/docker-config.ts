/** `~/.docker/config.json`, read when first asked for. A file that is missing is an empty one; a broken one is told, not ignored. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hasErrnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';

interface ConfigFile {
  currentContext?: string;
  detachKeys?: string;
  psFormat?: string;
  imagesFormat?: string;
  statsFormat?: string;
  auths?: Record<string, { auth?: string; username?: string; password?: string; identitytoken?: string; registrytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  proxies?: Record<string, Record<string, string>>;
}

export class DockerConfig {
  readonly directory: string;
  #file: ConfigFile | null = null;

  constructor(directory: string) {
    this.directory = directory;
  }

  get path(): string {
    return `${this.directory}/config.json`;
  }

  get file(): Readonly<ConfigFile> {
    this.#file ??= this.#read();
    return this.#file;
  }

  /** Writes beside the file and renames, so that a crash leaves the old one. */
  update(change: (file: ConfigFile) => void): void {
    const file = this.#read();
    change(file);
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const temporary = `${this.path}.${process.pid}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(file, null, '\t')}\n`, { mode: 0o600 });
    renameSync(temporary, this.path);
    this.#file = file;
  }

  #read(): ConfigFile {
    try {
      const parsed: unknown = JSON.parse(readFileSync(this.path, 'utf8'));
      if (typeof parsed === 'object' && parsed !== null) return parsed;
      throw new Error('it is not a JSON object');
    } catch (error) {
      if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return {};
      throw new CliError(`cannot read ${this.path}: ${error instanceof Error ? error.message : String(error)}`, 1, { cause: error });
    }
  }
}

export function configDirectory(env: Readonly<Record<string, string | undefined>>): string {
  return env.DOCKER_CONFIG || `${env.HOME || '/root'}/.docker`;
}
