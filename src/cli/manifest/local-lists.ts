/**
 * Manifest lists in the making, where Docker's client keeps its own, so that one can go on with what the other began:
 *
 *     <config>/manifests/<list>/<image>       a JSON document each; `/` in names is `_`, `:` is `-`
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hasErrnoCode } from '../../base/errors.ts';
import type { ManifestDescriptor, ManifestPlatform } from '../../client/manifest-api.ts';
import { CliError } from '../cli-error.ts';

export interface ListedManifest {
  /** `localhost:5000/x:1` */
  readonly Ref: string;
  readonly Descriptor: ManifestDescriptor & { readonly platform?: ManifestPlatform };
  readonly Raw: string;
  /** What `Raw` says: one of the two, by its kind. */
  readonly SchemaV2Manifest?: unknown;
  readonly OCIManifest?: unknown;
}

export class LocalLists {
  readonly #root: string;

  constructor(configDirectory: string) {
    this.#root = `${configDirectory}/manifests`;
  }

  /** Sorted by name; null: there is no such list. */
  read(list: string): readonly ListedManifest[] | null {
    const directory = this.#directory(list);
    let names: string[];
    try {
      names = readdirSync(directory).sort();
    } catch (error) {
      if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
      throw error;
    }
    return names.map((name) => parseEntry(readFileSync(`${directory}/${name}`, 'utf8'), `${directory}/${name}`));
  }

  find(list: string, image: string): ListedManifest | null {
    return this.read(list)?.find(({ Ref }) => Ref === image) ?? null;
  }

  write(list: string, manifest: ListedManifest): void {
    const path = `${this.#directory(list)}/${fileName(manifest.Ref)}`;
    mkdirSync(this.#directory(list), { recursive: true, mode: 0o755 });
    writeFileSync(`${path}.${process.pid}.tmp`, JSON.stringify(manifest), { mode: 0o644 });
    renameSync(`${path}.${process.pid}.tmp`, path);
  }

  /** False: there was none. */
  remove(list: string): boolean {
    if (this.read(list) === null) return false;
    rmSync(this.#directory(list), { recursive: true });
    return true;
  }

  #directory(list: string): string {
    return `${this.#root}/${fileName(list)}`;
  }
}

function fileName(reference: string): string {
  return reference.replaceAll('/', '_').replaceAll(':', '-');
}

function parseEntry(text: string, path: string): ListedManifest {
  try {
    const entry = JSON.parse(text) as ListedManifest | null;
    if (typeof entry?.Ref === 'string' && typeof entry.Raw === 'string' && typeof entry.Descriptor?.digest === 'string') return entry;
  } catch {
    // Told below.
  }
  throw new CliError(`${path} is not a manifest: \`gantry manifest rm\` removes the list`);
}
