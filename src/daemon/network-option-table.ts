/** The daemon's options for networks, as rows of the table in `daemon-settings.ts`: dockerd's names, and two of our own at the end. */
import { invalid } from '../base/errors.ts';
import type { Setting } from './setting.ts';

export const networkOptionTable: readonly Setting[] = [
  { flag: 'bridge', short: 'b', key: 'bridge', kind: 'text', help: 'bridge of the host for the default network; none: no default network' },
  { flag: 'bip', key: 'bip', kind: 'text', help: 'address and prefix of the default bridge: 172.17.0.1/16' },
  { flag: 'bip6', key: 'bip6', kind: 'text', help: 'IPv6 address and prefix of the default bridge' },
  { flag: 'fixed-cidr', key: 'fixed-cidr', kind: 'text', help: 'where addresses on the default bridge come from' },
  { flag: 'fixed-cidr-v6', key: 'fixed-cidr-v6', kind: 'text', help: 'the same for IPv6' },
  { flag: 'ipv6', key: 'ipv6', kind: 'switch', help: 'IPv6 on the default bridge (false)' },
  { flag: 'default-gateway', key: 'default-gateway', kind: 'text', help: 'gateway of the default bridge, when not itself' },
  { flag: 'default-gateway-v6', key: 'default-gateway-v6', kind: 'text', help: 'the same for IPv6' },
  {
    flag: 'default-address-pool',
    key: 'default-address-pools',
    kind: 'list',
    help: 'base=CIDR,size=PREFIX: subnets of new networks (repeatable)',
    fromJson: poolTexts,
  },
  {
    flag: 'default-network-opt',
    key: 'default-network-opts',
    kind: 'list',
    help: 'DRIVER=OPTION=VALUE for new networks (repeatable)',
    fromJson: networkOptionTexts,
  },
  { flag: 'mtu', key: 'mtu', kind: 'number', help: 'MTU of the default bridge (1500)' },
  { flag: 'icc', key: 'icc', kind: 'switch', help: 'containers of the default bridge reach each other (true)' },
  { flag: 'ip', key: 'ip', kind: 'text', help: 'address for ports that name none (0.0.0.0); 127.0.0.1: this host only' },
  { flag: 'ip-forward', key: 'ip-forward', kind: 'switch', help: 'switch on forwarding of the host when a network needs it (true)' },
  { flag: 'ip-masq', key: 'ip-masq', kind: 'switch', help: 'masquerading of the default bridge (true)' },
  { flag: 'iptables', key: 'iptables', kind: 'switch', help: 'a firewall table of our own; false: ports by proxy only (true)' },
  { flag: 'ip6tables', key: 'ip6tables', kind: 'switch', help: 'the same for IPv6 (true)' },
  { flag: 'userland-proxy', key: 'userland-proxy', kind: 'switch', help: 'proxy for what the kernel cannot rewrite, like [::1] (true)' },
  { flag: 'dns', key: 'dns', kind: 'list', help: 'DNS server of containers (repeatable)' },
  { flag: 'dns-opt', key: 'dns-opts', kind: 'list', help: 'DNS option of containers (repeatable)' },
  { flag: 'dns-search', key: 'dns-search', kind: 'list', help: 'DNS search domain of containers (repeatable)' },
  { flag: 'host-gateway-ip', key: 'host-gateway-ips', kind: 'list', help: 'what host-gateway means in --add-host (repeatable)' },
  { flag: 'publish-mode', key: 'publish-mode', kind: 'text', help: "nat, or proxy: the host's own input rules are obeyed (nat)" },
  { flag: 'forward-jump', key: 'forward-jump', kind: 'switch', help: "one rule in the host's forward chain where that drops (true)" },
];

/** `[{"base": "10.0.0.0/8", "size": 24}]` */
function poolTexts(value: unknown, name: string): readonly string[] {
  if (!Array.isArray(value)) throw invalid(`${name} must be a list of objects with base and size`);
  return value.map((pool: unknown) => {
    const { base, size, ...more } = isRecord(pool) ? pool : {};
    if (typeof base !== 'string' || typeof size !== 'number' || Object.keys(more).length > 0)
      throw invalid(`${name} must be a list of objects with base and size, like {"base": "10.0.0.0/8", "size": 24}`);
    return `base=${base},size=${size}`;
  });
}

/** `{"bridge": {"com.docker.network.driver.mtu": "1400"}}` */
function networkOptionTexts(value: unknown, name: string): readonly string[] {
  if (!isRecord(value)) throw invalid(`${name} must be an object: driver → option → text`);
  return Object.entries(value).flatMap(([driver, options]) => {
    if (!isRecord(options)) throw invalid(`${name} must be an object: driver → option → text`);
    return Object.entries(options).map(([option, text]) => {
      if (typeof text !== 'string') throw invalid(`${name}: ${driver}: ${option} must be a string`);
      return `${driver}=${option}=${text}`;
    });
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
