/**
 * Our runtime spec → the `config.json` of an OCI bundle, and the mounts that no OCI runtime makes for us. Pure.
 *
 * What the specification does not have (subpaths, image layers), and what older runtimes leave out without a word (owner mappings), is mounted by us in the private
 * mount namespace that the runtime's program gets: below `staging`, one name a mount. The runtime then only binds from there.
 */
import { join } from 'node:path';
import type { Mount, RuntimeSpec } from '../oci/runtime-spec.ts';
import { parseMountOptions } from './mount-options.ts';

export interface OciBundle {
  /** Text of `config.json`. */
  readonly config: string;
  /** Mounts of the spec with where they are staged. */
  readonly staged: readonly { readonly mount: Mount; readonly path: string }[];
}

/** The version whose fields all runtimes since 2021 know. */
const bundleVersion = '1.0.2';
const defaultUmask = 0o022;

export function ociBundle(spec: RuntimeSpec, rootPath: string, staging: string): OciBundle {
  const staged = spec.mounts.filter(needsStaging).map((mount, index) => ({ mount, path: join(staging, String(index)) }));
  const mounts = spec.mounts.map((mount) => {
    const found = staged.find((candidate) => candidate.mount === mount);
    return found === undefined ? mount : { destination: mount.destination, type: 'bind', source: found.path, options: bindOptions(mount) };
  });
  const config = { ...spec, ociVersion: bundleVersion, root: { ...spec.root, path: rootPath }, mounts, process: ociProcess(spec) };
  return { config: jsonText(config), staged };
}

/** For `exec --process` too. A umask that is not said is whatever the caller of the runtime has. */
export function ociProcess({ process }: RuntimeSpec): RuntimeSpec['process'] {
  return { ...process, user: { ...process.user, umask: process.user.umask ?? defaultUmask } };
}

/** Of ES2025, which TypeScript does not declare yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** Limits and seccomp arguments are unsigned 64-bit numbers: JSON.stringify refuses them, and a double loses their last digits. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? rawJSON(item.toString()) : item));
}

function needsStaging({ type, namespace, subpath = '', uidMappings = [], gidMappings = [] }: Mount): boolean {
  return type === 'layers' || namespace !== undefined || subpath !== '' || uidMappings.length > 0 || gidMappings.length > 0;
}

function bindOptions({ type, options = [] }: Mount): readonly string[] {
  if (type === 'layers') return ['bind', 'ro'];
  return parseMountOptions(options).bind === 'no' ? ['rbind', ...options] : options;
}
