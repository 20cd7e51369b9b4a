/**
 * The image config: what an image says about itself and how to run it. Its digest is the image's ID.
 *
 * Parsing yields a checked view in the document's own field names, `null` read as absent. The stored bytes stay the truth: unknown fields
 * live on in them, and nothing here is ever written back for an image that came from outside.
 */
import type { DiffId } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import { parseDigest } from './digest.ts';
import { copyMap, isObject, type JsonObject, parseJsonObject, refuseCaseVariants } from './json.ts';

/** Docker itself stops nowhere; a config beyond this is an attack (SECURITY.md row 6). */
export const imageConfigLimitBytes = 8 * 1024 * 1024;

/** Of images that say none, as Docker sets it. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface ImageConfig {
  /** RFC 3339 as written by the builder. */
  readonly created?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly docker_version?: string;
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string;
  readonly variant?: string;
  /** The container that a commit or a legacy build was made from. */
  readonly container?: string;
  readonly config: ImageRunConfig;
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly DiffId[] };
  readonly history: readonly ImageHistory[];
}

/** Docker's names, as they are merged into a container's config. */
export interface ImageRunConfig {
  readonly Hostname?: string;
  readonly Domainname?: string;
  readonly User?: string;
  /** `80/tcp` → `{}` */
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>;
  /** `NAME=value` */
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, Record<string, never>>>;
  readonly WorkingDir?: string;
  /** Without prototype: any name is a label, `__proto__` too. */
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  /** Seconds. */
  readonly StopTimeout?: number;
  readonly Healthcheck?: ImageHealthcheck;
  readonly OnBuild?: readonly string[];
  readonly Shell?: readonly string[];
  readonly ArgsEscaped?: boolean;
}

/** Durations in nanoseconds. */
export interface ImageHealthcheck {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

export interface ImageHistory {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  /** No layer belongs to this step. */
  readonly empty_layer?: boolean;
}

const topFields =
  'created author comment docker_version architecture os os.version os.features variant container container_config config rootfs history id parent'.split(
    ' ',
  );
const runFields = (
  'Hostname Domainname User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal StopTimeout Healthcheck OnBuild Shell ArgsEscaped ' +
  'Image Tty OpenStdin StdinOnce AttachStdin AttachStdout AttachStderr NetworkDisabled MacAddress'
).split(' ');

export function parseImageConfig(bytes: Uint8Array, what = 'image config'): ImageConfig {
  if (bytes.length > imageConfigLimitBytes) throw invalid(`${what} is larger than ${imageConfigLimitBytes} bytes`);
  const document = parseJsonObject(bytes, what);
  refuseCaseVariants(document, topFields, what);
  const rootfs = objectField(document, 'rootfs', what);
  if (rootfs === undefined) throw invalid(`${what} has no rootfs: it is not the config of an image`);
  refuseCaseVariants(rootfs, ['type', 'diff_ids'], `${what}: rootfs`);
  if (rootfs.type !== 'layers') throw invalid(`${what}: rootfs type ${JSON.stringify(rootfs.type)} is not supported, only "layers" is`);
  return {
    ...textFields(document, ['created', 'author', 'comment', 'docker_version', 'os.version', 'variant', 'container'], what),
    // Docker's oldest images leave them out and mean these.
    architecture: textField(document, 'architecture', what) || 'amd64',
    os: textField(document, 'os', what) || 'linux',
    config: parseRunConfig(objectField(document, 'config', what) ?? {}, `${what}: config`),
    rootfs: { type: 'layers', diff_ids: parseDiffIds(rootfs.diff_ids, what) },
    history: parseHistory(document.history, what),
  };
}

/** Bytes of a config made here (import, embedded images): the same view gives the same bytes. */
export function encodeImageConfig(config: ImageConfig): Buffer {
  return Buffer.from(JSON.stringify(config));
}

function parseRunConfig(run: JsonObject, what: string): ImageRunConfig {
  refuseCaseVariants(run, runFields, what);
  return defined({
    ...textFields(run, ['Hostname', 'Domainname', 'User', 'WorkingDir', 'StopSignal'], what),
    ExposedPorts: setField(run, 'ExposedPorts', what),
    Env: listField(run, 'Env', what),
    Entrypoint: listField(run, 'Entrypoint', what),
    Cmd: listField(run, 'Cmd', what),
    Volumes: setField(run, 'Volumes', what),
    Labels: labelsField(run, what),
    StopTimeout: numberField(run, 'StopTimeout', what),
    Healthcheck: parseHealthcheck(objectField(run, 'Healthcheck', what), `${what}: Healthcheck`),
    OnBuild: listField(run, 'OnBuild', what),
    Shell: listField(run, 'Shell', what),
    ArgsEscaped: flagField(run, 'ArgsEscaped', what),
  }) as ImageRunConfig;
}

function parseHealthcheck(health: JsonObject | undefined, what: string): ImageHealthcheck | undefined {
  if (health === undefined) return undefined;
  refuseCaseVariants(health, ['Test', 'Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'], what);
  return defined({
    Test: listField(health, 'Test', what),
    Interval: numberField(health, 'Interval', what),
    Timeout: numberField(health, 'Timeout', what),
    StartPeriod: numberField(health, 'StartPeriod', what),
    StartInterval: numberField(health, 'StartInterval', what),
    Retries: numberField(health, 'Retries', what),
  }) as ImageHealthcheck;
}

function parseDiffIds(value: unknown, what: string): readonly DiffId[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${what}: rootfs.diff_ids is not a list`);
  return value.map((entry, index) => parseDigest(entry, `${what}: rootfs.diff_ids[${index}]`) as string as DiffId);
}

function parseHistory(value: unknown, what: string): readonly ImageHistory[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${what}: history is not a list`);
  return value.map((entry, index) => {
    const where = `${what}: history[${index}]`;
    if (!isObject(entry)) throw invalid(`${where} is not an object`);
    refuseCaseVariants(entry, ['created', 'created_by', 'author', 'comment', 'empty_layer'], where);
    const empty = flagField(entry, 'empty_layer', where);
    return { ...textFields(entry, ['created', 'created_by', 'author', 'comment'], where), ...(empty ? { empty_layer: true } : {}) };
  });
}

// One reader per JSON type: absent and null are undefined, another type is an error that names the field.

function field<T>(object: JsonObject, name: string, what: string, type: string, is: (value: unknown) => value is T): T | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (value === undefined || value === null) return undefined;
  if (!is(value)) throw invalid(`${what}: ${name} is not ${type}`);
  return value;
}

function textField(object: JsonObject, name: string, what: string): string | undefined {
  return field(object, name, what, 'a string', (value) => typeof value === 'string');
}

function textFields(object: JsonObject, names: readonly string[], what: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = textField(object, name, what);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

function numberField(object: JsonObject, name: string, what: string): number | undefined {
  return field(object, name, what, 'a whole number', (value): value is number => Number.isSafeInteger(value));
}

function flagField(object: JsonObject, name: string, what: string): boolean | undefined {
  return field(object, name, what, 'true or false', (value) => typeof value === 'boolean');
}

function objectField(object: JsonObject, name: string, what: string): JsonObject | undefined {
  return field(object, name, what, 'an object', isObject);
}

function listField(object: JsonObject, name: string, what: string): readonly string[] | undefined {
  const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every((entry) => typeof entry === 'string');
  return field(object, name, what, 'a list of strings', isTexts);
}

/** Go's `map[string]struct{}`: only the keys count. */
function setField(object: JsonObject, name: string, what: string): Record<string, Record<string, never>> | undefined {
  const set = objectField(object, name, what);
  return set && copyMap(Object.keys(set).map((key) => [key, {}]));
}

function labelsField(object: JsonObject, what: string): Record<string, string> | undefined {
  const labels = objectField(object, 'Labels', what);
  if (labels === undefined) return undefined;
  const isLabel = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === 'string';
  const entries = Object.entries(labels);
  if (!entries.every(isLabel)) throw invalid(`${what}: Labels holds a value that is not a string`);
  return copyMap(entries);
}

function defined(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
