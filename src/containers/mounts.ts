/**
 * What `-v`, `--mount` and `--tmpfs` ask for, as one list: parsed and checked with Docker's rules and texts. Pure; whether a bind's source exists is the
 * caller's to find out (`createSource` says what to do when it doesn't).
 */
import { posix } from 'node:path';
import { invalid, notImplemented } from '../base/errors.ts';
import { mergeTmpfsOptions } from '../runtime/mount-options.ts';
import type { HostConfig, MountRequest } from './config.ts';
import { parseVolume } from './volume-syntax.ts';

export type RequestedMount = RequestedBind | RequestedTmpfs;

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
}

export interface RequestedTmpfs {
  readonly kind: 'tmpfs';
  readonly destination: string;
  readonly options: readonly string[];
  /** `--mount type=tmpfs` is listed by inspect, `--tmpfs` is not. */
  readonly listed: boolean;
}

/** In the order asked; duplicates are refused. */
export function requestedMounts(hostConfig: Pick<HostConfig, 'Binds' | 'Mounts' | 'Tmpfs'>): RequestedMount[] {
  const mounts: RequestedMount[] = [
    ...(hostConfig.Binds ?? []).map(bindOf),
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

function bindOf(raw: string): RequestedBind {
  const volume = parseVolume(raw);
  const type = volume.source.startsWith('/') ? 'bind' : 'volume';
  const problem = destinationProblem(volume.destination) ?? (type === 'bind' ? absoluteProblem(volume.source) : null);
  if (problem !== null) throw invalid(`invalid volume specification: '${raw}': invalid mount config for type "${type}": ${problem}`);
  if (type === 'volume') {
    const which = volume.source === '' ? 'The anonymous volume' : `The named volume "${volume.source}"`;
    throw notImplemented(`${which} (-v ${raw}) is not supported yet: volumes come with issue 4. A host path works`);
  }
  refuseShared(volume.propagation);
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

function mountOf(request: MountRequest): RequestedMount {
  const problem = request.Target === '' ? 'field Target must not be empty' : destinationProblem(request.Target);
  if (problem !== null) throw invalidMount(request.Type, problem);
  switch (request.Type) {
    case 'bind':
      return bindMountOf(request);
    case 'tmpfs':
      return tmpfsMountOf(request);
    case 'volume':
      throw notImplemented(`A mount of type "volume" (${request.Target}) is not supported yet: volumes come with issue 4`);
    case 'image':
      throw notImplemented(`A mount of type "image" (${request.Target}) is not supported yet: it comes with issue 4`);
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
  refuseShared(propagation);
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
  };
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

function foreignOptions(request: MountRequest, own: 'BindOptions' | 'TmpfsOptions'): string | null {
  const fields = ['BindOptions', 'VolumeOptions', 'TmpfsOptions'] as const;
  const foreign = fields.find((field) => field !== own && request[field] !== undefined);
  return foreign === undefined ? null : `field ${foreign} must not be specified`;
}

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

function refuseShared(propagation: string): void {
  if (propagation !== 'shared' && propagation !== 'rshared') return;
  throw notImplemented(
    `Bind propagation "${propagation}" is not supported yet: mounts made in the container would have to reach the host. Use rslave or rprivate`,
  );
}

function invalidMount(type: string, problem: string): Error {
  return invalid(`invalid mount config for type "${type}": ${problem}`);
}

/** `/a/../b/` → `/b`. */
function clean(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}
