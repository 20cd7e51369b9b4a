/** The daemon's options for registries, as rows of the table in `daemon-settings.ts`: dockerd's names, and three of our own at the end. */
import { invalid } from '../base/errors.ts';
import type { Setting } from './setting.ts';

export const registryOptionTable: readonly Setting[] = [
  { flag: 'registry-mirror', key: 'registry-mirrors', kind: 'list', help: 'URL asked for images of docker.io first (repeatable)' },
  {
    flag: 'insecure-registry',
    key: 'insecure-registries',
    kind: 'list',
    help: 'HOST[:PORT] or CIDR: plain HTTP and unverified certificates will do (repeatable)',
  },
  { flag: 'max-concurrent-downloads', key: 'max-concurrent-downloads', kind: 'number', help: 'layers that are pulled at once (3)' },
  { flag: 'max-concurrent-uploads', key: 'max-concurrent-uploads', kind: 'number', help: 'layers that are pushed at once (5)' },
  { flag: 'max-download-attempts', key: 'max-download-attempts', kind: 'number', help: 'attempts at each request of a pull or push (5)' },
  { flag: 'http-proxy', key: 'proxies.http-proxy', kind: 'text', help: 'proxy for http:// (HTTP_PROXY of the daemon)' },
  { flag: 'https-proxy', key: 'proxies.https-proxy', kind: 'text', help: 'proxy for https:// (HTTPS_PROXY of the daemon)' },
  {
    flag: 'no-proxy',
    key: 'proxies.no-proxy',
    kind: 'text',
    help: 'hosts, domains and CIDRs asked without one, with commas (NO_PROXY of the daemon)',
  },
  {
    flag: 'registry-prefix-mirror',
    key: 'registry-prefix-mirrors',
    kind: 'list',
    help: 'PREFIX=URL asked first for images that begin so (repeatable)',
    fromJson: (value, name) => pairsFromJson(value, name, 'URLs by prefix of images, like {"quay.io/team": ["https://mirror.example"]}'),
  },
  {
    flag: 'registry-allowed-realm',
    key: 'registry-allowed-realms',
    kind: 'list',
    help: 'REGISTRY=HOST of token realms elsewhere that may see its credentials (repeatable)',
    fromJson: (value, name) => pairsFromJson(value, name, 'hosts by registry, like {"registry.example": ["auth.example"]}'),
  },
  {
    flag: 'registry-certs-dir',
    key: 'registry-certs-dirs',
    kind: 'list',
    help: 'directory of HOST[:PORT]/{*.crt,*.cert,*.key} (/etc/gantry/certs.d, /etc/docker/certs.d; repeatable)',
  },
];

/** `{"a": ["b", "c"]}` → `a=b`, `a=c` */
function pairsFromJson(value: unknown, name: string, what: string): readonly string[] {
  const refuse = () => invalid(`${name} must be an object: lists of ${what}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse();
  return Object.entries(value).flatMap(([key, entries]) => {
    if (!Array.isArray(entries) || !entries.every((entry) => typeof entry === 'string')) throw refuse();
    return entries.map((entry) => `${key}=${entry}`);
  });
}
