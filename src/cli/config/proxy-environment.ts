/** `proxies` of the configuration file: variables that every new container gets, unless the command line names them. By daemon address, or `default`. */
import type { DockerConfig } from '../../client/credentials/docker-config.ts';

const VARIABLES: Readonly<Record<string, string>> = {
  httpProxy: 'HTTP_PROXY',
  httpsProxy: 'HTTPS_PROXY',
  noProxy: 'NO_PROXY',
  ftpProxy: 'FTP_PROXY',
  allProxy: 'ALL_PROXY',
};

export function proxyEnvironment(config: DockerConfig, address: string, given: readonly string[]): string[] {
  const { proxies } = config.file;
  const settings = proxies?.[address] ?? proxies?.default;
  if (settings === undefined) return [];
  const taken = new Set(given.map((entry) => entry.split('=')[0]));
  return Object.entries(VARIABLES).flatMap(([key, variable]) => {
    const value = settings[key];
    const names = [variable, variable.toLowerCase()].filter((name) => !taken.has(name));
    return value === undefined || value === '' ? [] : names.map((name) => `${name}=${value}`);
  });
}
