/** The names that registries have in configuration files and on command lines, which are not always their hosts. */

/** Docker's Hub is known by an address of its own. */
export const HUB_KEY = 'https://index.docker.io/v1/';

const HUB_HOSTS: readonly string[] = ['', 'docker.io', 'index.docker.io', 'registry-1.docker.io'];

/** What credentials of a registry are stored by: its `host[:port]`, or the Hub's address. `server`: a domain, or any spelling of an address. */
export function registryKey(server: string): string {
  const host = registryHost(server);
  return HUB_HOSTS.includes(host) ? HUB_KEY : host;
}

/** `https://registry.example:5000/v2/` → `registry.example:5000` */
export function registryHost(address: string): string {
  return address
    .trim()
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/s, '');
}
