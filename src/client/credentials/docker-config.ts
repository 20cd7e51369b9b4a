/**
 * `~/.docker/config.json`, read when first asked for. A file that is missing is an empty one; a broken one is told, not ignored. It may hold secrets: whoever
 * writes it does so through `update`, which keeps what it does not know, lets nobody else read the file, and never leaves half of one.
 */
import {
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { EngineError, errorText, hasErrnoCode } from '../../base/errors.ts';

export interface ConfigFile {
  currentContext?: string;
  detachKeys?: string;
  psFormat?: string;
  imagesFormat?: string;
  statsFormat?: string;
  auths?: Record<string, AuthEntry>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  proxies?: Record<string, Record<string, string>>;
}

/** What is stored of one registry; empty where a credential helper has it. */
export interface AuthEntry {
  /** `user:password` in base64. */
  auth?: string;
  username?: string;
  password?: string;
  identitytoken?: string;
  registrytoken?: string;
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
    replaceFile(targetOf(this.path), `${JSON.stringify(file, null, '\t')}\n`);
    this.#file = file;
  }

  #read(): ConfigFile {
    try {
      const parsed: unknown = JSON.parse(readFileSync(this.path, 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
      throw new Error('it is not a JSON object');
    } catch (error) {
      if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return {};
      // The parser's own words may quote the file, and with it a secret.
      const why = error instanceof SyntaxError ? 'it is not JSON' : errorText(error);
      throw new EngineError('invalid', `cannot read ${this.path}: ${why}`);
    }
  }
}

export function configDirectory(env: Readonly<Record<string, string | undefined>>): string {
  return env.DOCKER_CONFIG || `${env.HOME || '/root'}/.docker`;
}

/** A file that is a link into somebody's dot files stays one. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return path;
    throw error;
  }
}

function replaceFile(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
    closeSync(fd);
    keepOwner(path, temporary);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

/** `sudo gantry login` must not take a person's own file away. */
function keepOwner(path: string, temporary: string): void {
  try {
    const { uid, gid } = statSync(path);
    if (process.getuid?.() === 0 && uid !== 0) chownSync(temporary, uid, gid);
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT')) throw error;
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
