/**
 * Our runtime spec → the `config.json` of an OCI bundle, and the mounts that no OCI runtime makes for us. Pure.
 *
 * What the specification does not have (subpaths, image layers), and what older runtimes leave out without a word (owner mappings), is mounted by us in the private
 * mount namespace that the runtime's program gets: below `staging`, one name a mount. The runtime then only binds from there.
 */
import { join } from 'node:path';
import type { Hook, Hooks, IntelRdt, Mount, RuntimeSpec } from '../oci/runtime-spec.ts';
import { argvOf, hookPatienceSeconds } from './hooks.ts';
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
  const given = spec.mounts.filter((mount) => !isInProc(mount));
  const staged = given.filter(needsStaging).map((mount, index) => ({ mount, path: join(staging, String(index)) }));
  const mounts = given.map((mount) => {
    const found = staged.find((candidate) => candidate.mount === mount);
    return found === undefined ? mount : { destination: mount.destination, type: 'bind', source: found.path, options: bindOptions(mount) };
  });
  const config = {
    ...withKnownFields(spec),
    ociVersion: bundleVersion,
    root: { ...spec.root, path: rootPath },
    mounts,
    process: ociProcess(spec),
  };
  return { config: jsonText(config), staged };
}

/** No OCI runtime lets anybody lay such a file over one of /proc (docs/devices.md, Limits). */
function isInProc({ type, destination }: Mount): boolean {
  return type === 'memory-file' && destination.startsWith('/proc/');
}

/** What hooks of a container that we make ourselves find in its bundle. Nothing of it is carried out. */
export function configForHooks(spec: RuntimeSpec, rootPath: string): string {
  // What only memory may hold is in no file.
  const mounts = spec.mounts.filter(({ type }) => type !== 'memory-file').map(specifiedFields);
  return jsonText({ ...spec, root: { ...spec.root, path: rootPath }, mounts });
}

function specifiedFields({ destination, type, source, options, uidMappings, gidMappings }: Mount): Mount {
  return JSON.parse(JSON.stringify({ destination, type, source, options, uidMappings, gidMappings })) as Mount;
}

/**
 * A hook without an environment would get that of the program that runs it, which may be the image's (CVE-2025-23266); one without a time-out could keep it for ever.
 * What newer versions say of Intel RDT is said in the words that all know.
 */
function withKnownFields(spec: RuntimeSpec): RuntimeSpec {
  const { hooks, linux } = spec;
  return {
    ...spec,
    ...(hooks === undefined ? {} : { hooks: mapHooks(hooks) }),
    ...(linux.intelRdt === undefined ? {} : { linux: { ...linux, intelRdt: olderIntelRdt(linux.intelRdt) } }),
  };
}

function mapHooks(hooks: Hooks): Hooks {
  const whole = (hook: Hook): Hook => ({ ...hook, args: argvOf(hook), env: hook.env ?? [], timeout: hook.timeout ?? hookPatienceSeconds });
  return Object.fromEntries(Object.entries(hooks).map(([point, list]) => [point, list.map(whole)]));
}

function olderIntelRdt({ schemata = [], enableMonitoring, l3CacheSchema, memBwSchema, ...rest }: IntelRdt): IntelRdt {
  const isMemory = (line: string): boolean => line.startsWith('MB:');
  const lines = (first: string | undefined, more: readonly string[]): string =>
    [...(first === undefined ? [] : [first]), ...more].join('\n');
  const l3 = lines(
    l3CacheSchema,
    schemata.filter((line) => !isMemory(line)),
  );
  const memory = lines(memBwSchema, schemata.filter(isMemory));
  return {
    ...rest,
    ...(l3 === '' ? {} : { l3CacheSchema: l3 }),
    ...(memory === '' ? {} : { memBwSchema: memory }),
    ...(enableMonitoring === true ? { enableCMT: true, enableMBM: true } : {}),
  };
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
