/**
 * What `-v`, `--mount` and `--tmpfs` ask for, as one list: parsed and checked with Docker's rules and texts. Pure; whether a bind's source exists is the
 * caller's to find out (`createSource` says what to do when it doesn't), and so are volumes and images (`container-volumes.ts`).
 */
import { posix } from 'node:path';
import { invalid, notImplemented } from '../base/errors.ts';
import { mergeTmpfsOptions } from '../runtime/mount-options.ts';
import type { HostConfig, MountRequest } from './config.ts';
import { parseIdmap } from './mapped-owners.ts';
import { parseVolume, type VolumeText } from './volume-syntax.ts';

export type RequestedMount = RequestedBind | RequestedTmpfs | RequestedVolume | RequestedImage;

export interface RequestedBind {
  readonly kind: 'bind';
  /** Host path, absolute and clean. */
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
  /** Submounts become read-only too (Docker's default since API 1.44). */
  readonly recursiveReadOnly: boolean;
  readonly recursive: boolean;
  readonly propagation: string;
  /** The third part of `-v` as given, for inspect. */
  readonly mode: string;
  /** `-v` makes a missing source directory; `--mount` refuses. */
  readonly createSource: boolean;
  /** See `mapped-owners.ts`; absent: as they are. */
  readonly idmap?: string;
}

export interface RequestedVolume {
  readonly kind: 'volume';
  /** Null: an anonymous one. */
  readonly name: string | null;
  /** '': the default one, or that of the volume that is there. */
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly destination: string;
  readonly readOnly: boolean;
  /** Filled from the image when it is empty. */
  readonly copy: boolean;
  /** Below the volume's root; '': all of it. */
  readonly subpath: string;
  readonly mode: string;
  readonly idmap?: string;
}

/** The files of an image, read-only. */
export interface RequestedImage {
  readonly kind: 'image';
  readonly image: string;
  readonly destination: string;
  readonly subpath: string;
}

export interface RequestedTmpfs {
  readonly kind: 'tmpfs';
  readonly destination: string;
  readonly options: readonly string[];
  /** `--mount type=tmpfs` is listed by inspect, `--tmpfs` is not. */
  readonly listed: boolean;
}

/** In the order asked; duplicates are refused. */
export function requestedMounts(
  hostConfig: Pick<HostConfig, 'Binds' | 'Mounts' | 'Tmpfs'> & Partial<Pick<HostConfig, 'VolumeDriver'>>,
): RequestedMount[] {
  const mounts: RequestedMount[] = [
    ...(hostConfig.Binds ?? []).map((raw) => bindOf(raw, hostConfig.VolumeDriver ?? '')),
    ...(hostConfig.Mounts ?? []).map(mountOf),
    ...Object.entries(hostConfig.Tmpfs ?? {}).map(([destination, options]) => tmpfsOf(destination, options)),
  ];
  const seen = new Set<string>();
  for (const { destination } of mounts) {
    if (seen.has(destination)) throw invalid(`Duplicate mount point: ${destination}`);
    seen.add(destination);
  }
  return mounts;
}

/** What needs nothing prepared: the rest are volumes and images. */
export function plainMounts(hostConfig: Parameters<typeof requestedMounts>[0]): (RequestedBind | RequestedTmpfs)[] {
  return requestedMounts(hostConfig).filter((mount) => mount.kind === 'bind' || mount.kind === 'tmpfs');
}

function bindOf(raw: string, driver: string): RequestedBind | RequestedVolume {
  const volume = parseVolume(raw);
  const type = volume.source.startsWith('/') ? 'bind' : 'volume';
  const problem = destinationProblem(volume.destination) ?? (type === 'bind' ? bindTextProblem(volume) : volumeTextProblem(volume));
  if (problem !== null) throw invalid(`invalid volume specification: '${raw}': invalid mount config for type "${type}": ${problem}`);
  if (type === 'volume') return namedVolume(volume, driver);
  return {
    kind: 'bind',
    source: clean(volume.source),
    destination: clean(volume.destination),
    readOnly: volume.readOnly,
    recursiveReadOnly: volume.readOnly,
    recursive: true,
    propagation: volume.propagation === '' ? 'rprivate' : volume.propagation,
    mode: volume.mode,
    createSource: true,
  };
}

function bindTextProblem({ source, noCopy }: VolumeText): string | null {
  return absoluteProblem(source) ?? (noCopy ? 'field VolumeOptions must not be specified' : null);
}

function volumeTextProblem({ propagation }: VolumeText): string | null {
  return propagation === '' ? null : 'field BindOptions must not be specified';
}

function namedVolume({ source, destination, readOnly, noCopy, mode }: VolumeText, driver: string): RequestedVolume {
  return {
    kind: 'volume',
    name: source === '' ? null : source,
    driver,
    driverOptions: {},
    labels: {},
    destination: clean(destination),
    readOnly,
    copy: !noCopy,
    subpath: '',
    mode,
  };
}

/** `-v /path`, and the VOLUMEs of the image: `Config.Volumes`. Nothing leads out of the container's root. */
export function anonymousVolume(path: string, driver: string): RequestedVolume {
  if (path.includes('\0')) throw invalidMount('volume', 'invalid mount path: a path cannot hold a NUL byte');
  const destination = clean(posix.join('/', path));
  if (destination === '/') throw invalidMount('volume', "invalid specification: destination can't be '/'");
  return namedVolume({ source: '', destination, mode: '', readOnly: false, propagation: '', noCopy: false }, driver);
}

function mountOf(request: MountRequest): RequestedMount {
  const problem = request.Target === '' ? 'field Target must not be empty' : destinationProblem(request.Target);
  if (problem !== null) throw invalidMount(request.Type, problem);
  switch (request.Type) {
    case 'bind':
      return bindMountOf(request);
    case 'tmpfs':
      return tmpfsMountOf(request);
    case 'volume':
      return volumeMountOf(request);
    case 'image':
      return imageMountOf(request);
    case 'npipe':
    case 'cluster':
      throw notImplemented(`A mount of type "${request.Type}" (${request.Target}) is not supported: it belongs to Windows or Swarm`);
    default:
      throw invalid(`invalid mount config for type "${request.Type}": mount type unknown`);
  }
}

function bindMountOf(request: MountRequest): RequestedBind {
  const source = request.Source ?? '';
  const options = request.BindOptions ?? {};
  const propagation = options.Propagation ?? '';
  const problem =
    source === ''
      ? 'field Source must not be empty'
      : (absoluteProblem(source) ?? foreignOptions(request, 'BindOptions') ?? propagationProblem(propagation) ?? readOnlyProblem(request));
  if (problem !== null) throw invalidMount('bind', problem);
  return {
    kind: 'bind',
    source: clean(source),
    destination: clean(request.Target),
    readOnly: request.ReadOnly === true,
    recursiveReadOnly: request.ReadOnly === true && options.ReadOnlyNonRecursive !== true,
    recursive: options.NonRecursive !== true,
    propagation: propagation === '' ? 'rprivate' : propagation,
    mode: '',
    createSource: options.CreateMountpoint === true,
    ...idmapOf(options.Idmap),
  };
}

function volumeMountOf(request: MountRequest): RequestedVolume {
  const name = (request.Source ?? '') === '' ? null : (request.Source ?? '');
  const options = request.VolumeOptions ?? {};
  const problem = foreignOptions(request, 'VolumeOptions') ?? volumeProblem(request, name === null);
  if (problem !== null) throw invalidMount('volume', problem);
  return {
    kind: 'volume',
    name,
    driver: options.DriverConfig?.Name ?? '',
    driverOptions: options.DriverConfig?.Options ?? {},
    labels: options.Labels ?? {},
    destination: clean(request.Target),
    readOnly: request.ReadOnly === true,
    copy: options.NoCopy !== true,
    subpath: options.Subpath ?? '',
    mode: '',
    ...idmapOf(options.Idmap),
  };
}

function volumeProblem({ ReadOnly: readOnly, VolumeOptions: options = {} }: MountRequest, isAnonymous: boolean): string | null {
  const { Subpath: subpath = '' } = options;
  if (subpath !== '' && isAnonymous) return 'must not set Subpath when using anonymous volumes';
  if (!isLocal(subpath)) return 'subpath must be a relative path within the volume';
  return readOnly === true && isAnonymous ? 'must not set ReadOnly mode when using anonymous volumes' : null;
}

function imageMountOf(request: MountRequest): RequestedImage {
  const { Source: image = '', ImageOptions: { Subpath: subpath = '' } = {} } = request;
  const problem =
    image === ''
      ? 'field Source must not be empty'
      : (foreignOptions(request, 'ImageOptions') ?? (isLocal(subpath) ? null : 'subpath must be a relative path within the image'));
  if (problem !== null) throw invalidMount('image', problem);
  return { kind: 'image', image, destination: clean(request.Target), subpath };
}

/** Neither absolute nor above its start; what links make of it is the kernel's to hold (RESOLVE_IN_ROOT). */
function isLocal(subpath: string): boolean {
  if (subpath === '') return true;
  if (subpath.includes('\0') || subpath.startsWith('/')) return false;
  return posix.normalize(subpath).split('/')[0] !== '..';
}

/** Parsed here for its error, and again when the container starts. */
function idmapOf(text: string | undefined): { readonly idmap?: string } {
  if (text === undefined || text === '') return {};
  parseIdmap(text);
  return { idmap: text };
}

function readOnlyProblem({ ReadOnly: readOnly, BindOptions: options = {} }: MountRequest): string | null {
  if (options.ReadOnlyNonRecursive === true && readOnly !== true) return 'mount source must be read-only when ReadOnlyNonRecursive is set';
  if (options.ReadOnlyForceRecursive !== true) return null;
  if (options.ReadOnlyNonRecursive === true) return 'conflicting options: ReadOnlyNonRecursive and ReadOnlyForceRecursive';
  if (readOnly !== true) return 'mount source must be read-only when ReadOnlyForceRecursive is set';
  if (options.Propagation !== 'rprivate') return 'ReadOnlyForceRecursive needs propagation rprivate';
  return null;
}

function tmpfsMountOf(request: MountRequest): RequestedTmpfs {
  const source = (request.Source ?? '') === '' ? null : 'field Source must not be specified';
  const problem = source ?? foreignOptions(request, 'TmpfsOptions');
  if (problem !== null) throw invalidMount('tmpfs', problem);
  const { SizeBytes: size = 0, Mode: mode = 0, Options: extra = [] } = request.TmpfsOptions ?? {};
  if (!Number.isInteger(size) || size < 0) throw invalidMount('tmpfs', `invalid tmpfs size: ${size}`);
  const options = [
    ...(request.ReadOnly === true ? ['ro'] : []),
    ...(mode === 0 ? [] : [`mode=${mode.toString(8)}`]),
    ...(size === 0 ? [] : [`size=${shortSize(size)}`]),
    ...extra.map((option) => option.join('=')),
  ];
  return { ...tmpfsOf(request.Target, options.join(',')), listed: true };
}

/** The largest unit that divides the size: Docker writes 4194304 as `4m`. */
function shortSize(bytes: number): string {
  const units: readonly [number, string][] = [
    [2 ** 30, 'g'],
    [2 ** 20, 'm'],
    [2 ** 10, 'k'],
  ];
  const unit = units.find(([factor]) => bytes % factor === 0);
  return unit === undefined ? `${bytes}` : `${bytes / unit[0]}${unit[1]}`;
}

function tmpfsOf(destination: string, options: string): RequestedTmpfs {
  const problem = destinationProblem(destination);
  if (problem !== null) throw invalidMount('tmpfs', problem);
  // Docker's defaults first, so that what is asked for wins.
  const result = mergeTmpfsOptions(['noexec', 'nosuid', 'nodev', 'rprivate', ...options.split(',')]);
  if ('unknown' in result) throw invalid(`invalid tmpfs option [${quoteOption(result.unknown)}]`);
  return { kind: 'tmpfs', destination: clean(destination), options: result.merged, listed: false };
}

/** As Docker quotes it: `["foo" "1"]`. */
function quoteOption(option: string): string {
  const equals = option.indexOf('=');
  const parts = equals === -1 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
  return parts.map((part) => JSON.stringify(part)).join(' ');
}

function foreignOptions(request: MountRequest, own: (typeof optionFields)[number]): string | null {
  const foreign = optionFields.find((field) => field !== own && request[field] !== undefined);
  return foreign === undefined ? null : `field ${foreign} must not be specified`;
}

const optionFields = ['BindOptions', 'VolumeOptions', 'ImageOptions', 'TmpfsOptions'] as const;

function destinationProblem(destination: string): string | null {
  if (destination.startsWith('/') && clean(destination) === '/') return "invalid specification: destination can't be '/'";
  return absoluteProblem(destination);
}

function absoluteProblem(path: string): string | null {
  if (path.includes('\0')) return 'invalid mount path: a path cannot hold a NUL byte';
  return path.startsWith('/') ? null : `invalid mount path: '${path}' mount path must be absolute`;
}

const propagations: ReadonlySet<string> = new Set(['', 'private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared']);

function propagationProblem(propagation: string): string | null {
  return propagations.has(propagation) ? null : `invalid propagation mode: ${propagation}`;
}

function invalidMount(type: string, problem: string): Error {
  return invalid(`invalid mount config for type "${type}": ${problem}`);
}

/** `/a/../b/` → `/b`. */
function clean(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}
