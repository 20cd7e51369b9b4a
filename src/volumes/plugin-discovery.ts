/**
 * Where plugins are: sockets first, then specs (a line with an address) and JSON files (address and certificates), as Docker looks for them.
 *
 *     /run/docker/plugins/{NAME.sock, NAME/NAME.sock}
 *     /etc/docker/plugins, /usr/lib/docker/plugins: {NAME, NAME/NAME}.{spec, json}
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import type { PluginAddress } from './plugin-client.ts';

export interface PluginDirectories {
  readonly sockets: readonly string[];
  readonly specs: readonly string[];
}

export const dockerPluginDirectories: PluginDirectories = {
  sockets: ['/run/docker/plugins'],
  specs: ['/etc/docker/plugins', '/usr/lib/docker/plugins'],
};

/** Names, sorted; what they implement is only known when they were asked. */
export async function listPlugins(directories: PluginDirectories): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const directory of directories.sockets) for (const name of await namesIn(directory, ['.sock'])) names.add(name);
  for (const directory of directories.specs) for (const name of await namesIn(directory, ['.spec', '.json'])) names.add(name);
  return [...names].sort();
}

/** Null: there is none of that name. */
export async function findPlugin(directories: PluginDirectories, name: string): Promise<PluginAddress | null> {
  // The name becomes a part of paths.
  if (name === '' || name.includes('/') || name.includes('\0') || name.startsWith('.')) return null;
  for (const path of candidates(directories.sockets, name, '.sock')) if (await isSocket(path)) return unixPlugin(name, path);
  for (const path of candidates(directories.specs, name, '.spec')) {
    const text = await readIfThere(path);
    if (text !== null) return addressOf(name, text.trim(), path);
  }
  for (const path of candidates(directories.specs, name, '.json')) {
    const text = await readIfThere(path);
    if (text !== null) return await fromJson(name, text, path);
  }
  return null;
}

function candidates(directories: readonly string[], name: string, ending: string): readonly string[] {
  return directories.flatMap((directory) => [join(directory, `${name}${ending}`), join(directory, name, `${name}${ending}`)]);
}

async function namesIn(directory: string, endings: readonly string[]): Promise<readonly string[]> {
  const names: string[] = [];
  for (const entry of await entriesOf(directory)) {
    const ending = endings.find((each) => entry.name.endsWith(each));
    if (ending !== undefined && !entry.isDirectory()) names.push(entry.name.slice(0, -ending.length));
    if (!entry.isDirectory()) continue;
    const inside = (await entriesOf(join(directory, entry.name))).map(({ name }) => name);
    if (endings.some((each) => inside.includes(`${entry.name}${each}`))) names.push(entry.name);
  }
  return names.filter((name) => name !== '' && !name.startsWith('.'));
}

async function entriesOf(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}

function unixPlugin(name: string, socketPath: string): PluginAddress {
  return { name, request: { socketPath }, tls: false, basePath: '' };
}

interface JsonSpec {
  readonly Addr?: unknown;
  readonly TLSConfig?: {
    readonly InsecureSkipVerify?: unknown;
    readonly CAFile?: unknown;
    readonly CertFile?: unknown;
    readonly KeyFile?: unknown;
  };
}

async function fromJson(name: string, text: string, path: string): Promise<PluginAddress> {
  let spec: JsonSpec;
  try {
    spec = JSON.parse(text);
  } catch (cause) {
    throw brokenSpec(path, errorText(cause));
  }
  const plain = addressOf(name, typeof spec.Addr === 'string' ? spec.Addr : '', path);
  if (!plain.tls) return plain;
  const file = async (value: unknown) => (typeof value === 'string' && value !== '' ? await readFile(value, 'utf8') : undefined);
  const [ca, cert, key] = await Promise.all([file(spec.TLSConfig?.CAFile), file(spec.TLSConfig?.CertFile), file(spec.TLSConfig?.KeyFile)]);
  const rejectUnauthorized = spec.TLSConfig?.InsecureSkipVerify !== true;
  return {
    ...plain,
    request: {
      ...plain.request,
      rejectUnauthorized,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
  };
}

function addressOf(name: string, text: string, path: string): PluginAddress {
  if (text.startsWith('unix://')) return unixPlugin(name, text.slice('unix://'.length));
  const url = URL.parse(text.replace(/^tcp:/, 'http:'));
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw brokenSpec(path, `${JSON.stringify(text)} is no unix://, tcp:// or https:// address`);
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { name, request: { host, port }, tls, basePath: url.pathname.replace(/\/$/, '') };
}

function brokenSpec(path: string, why: string): Error {
  return new EngineError('system', `the plugin specification ${path} can't be used: ${why}`);
}
