/** The daemon's options for the registry that it serves itself. */
import { isAbsolute } from 'node:path';
import { invalid } from '../base/errors.ts';
import { type ListenAddress, parseListenAddress } from '../registry/configuration/registry-configuration.ts';
import type { Setting } from './setting.ts';

export interface WithRegistry {
  /** Null: as the file says, else 127.0.0.1:5000. */
  readonly listen: ListenAddress | null;
  /** As of `gantry registry serve`; null: everything by default. */
  readonly configFile: string | null;
}

const defaultPort = 5000;

export const withRegistrySettings: readonly Setting[] = [
  {
    flag: 'with-registry',
    key: 'with-registry',
    kind: 'switch',
    help: 'also serve a registry that shares the blobs of the images; --with-registry=HOST:PORT (127.0.0.1:5000)',
    fromJson: (value, name) => {
      if (typeof value === 'boolean' || typeof value === 'string') return [String(value)];
      throw invalid(`${name} must be true, false or an address like "127.0.0.1:5000"`);
    },
  },
  {
    flag: 'registry-config',
    key: 'registry-config',
    kind: 'text',
    help: 'configuration file of that registry, as of gantry registry serve --config',
  },
];

/** Null: no registry. */
export function withRegistryOptions(values: ReadonlyMap<string, readonly string[]>): WithRegistry | null {
  const said = values.get('with-registry')?.at(-1) ?? 'false';
  const configFile = values.get('registry-config')?.at(-1) ?? null;
  if (configFile !== null && !isAbsolute(configFile))
    throw invalid(`invalid value for --registry-config: ${JSON.stringify(configFile)} is not an absolute path`);
  if (/^(false|0|f)$/i.test(said)) {
    if (configFile !== null) throw invalid('--registry-config is for --with-registry: give both, or neither');
    return null;
  }
  return { listen: /^(true|1|t)$/i.test(said) ? null : listenAddress(said), configFile };
}

/** A port alone is one of loopback. */
function listenAddress(text: string): ListenAddress {
  const given = /^:?(\d{1,5})$/.exec(text);
  try {
    return parseListenAddress(given ? `127.0.0.1:${given[1]}` : /:\d+$/.test(text) ? text : `${text}:${defaultPort}`);
  } catch (cause) {
    throw invalid(`invalid value for --with-registry: ${JSON.stringify(text)} is no address: write HOST:PORT, as 127.0.0.1:5000`, {
      cause,
    });
  }
}
