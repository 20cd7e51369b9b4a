/**
 * What can be told to the daemon: one table for the flags (named as dockerd's) and the keys of the configuration file (dockerd's too). A setting of dockerd
 * that is not built is in the table with what brings it, so that it is refused by name instead of being ignored; any other name is unknown.
 */
import { invalid, notImplemented } from '../base/errors.ts';

export type SettingKind = 'text' | 'list' | 'switch' | 'number';

export interface Setting {
  readonly flag: string;
  readonly short?: string;
  /** Key in the configuration file; null: not allowed there. */
  readonly key: string | null;
  readonly kind: SettingKind;
  readonly help: string;
  /** Values that say what is so anyway; everything else is refused with the reason. Absent: built. */
  readonly unbuilt?: { readonly accepted: readonly string[]; readonly why: string };
}

const networks = 'it comes with networks (issue 4)';
const wholeLife = "it comes with a container's whole life (issue 5)";
const registries = 'it comes with the registry client (issue 6)';
const never = 'Gantry has nothing like it';

function unbuilt(flag: string, kind: SettingKind, why: string, accepted: readonly string[] = [], key: string | null = flag): Setting {
  return { flag, key, kind, help: '', unbuilt: { accepted, why } };
}

export const settings: readonly Setting[] = [
  { flag: 'host', short: 'H', key: 'hosts', kind: 'list', help: 'address to listen on: unix:///path or fd:// (repeatable)' },
  { flag: 'data-root', key: 'data-root', kind: 'text', help: 'directory of images and containers (/var/lib/gantry)' },
  { flag: 'exec-root', key: 'exec-root', kind: 'text', help: 'directory of what only lives until the next boot (/run/gantry)' },
  { flag: 'pidfile', short: 'p', key: 'pidfile', kind: 'text', help: "file for the daemon's process id" },
  { flag: 'config-file', key: null, kind: 'text', help: "JSON file with dockerd's keys (/etc/gantry/daemon.json when there)" },
  { flag: 'group', short: 'G', key: 'group', kind: 'text', help: 'group that may use the socket (gantry, else docker, when there)' },
  { flag: 'label', key: 'labels', kind: 'list', help: 'KEY=VALUE shown by info (repeatable)' },
  { flag: 'live-restore', key: 'live-restore', kind: 'switch', help: 'containers go on when the daemon stops (true)' },
  {
    flag: 'shutdown-timeout',
    key: 'shutdown-timeout',
    kind: 'number',
    help: 'seconds for containers to stop with --live-restore=false (15)',
  },
  { flag: 'debug', short: 'D', key: 'debug', kind: 'switch', help: 'the same as --log-level=debug' },
  { flag: 'log-level', short: 'l', key: 'log-level', kind: 'text', help: 'debug, info, warn, error or fatal (info)' },
  { flag: 'log-format', key: 'log-format', kind: 'text', help: 'text or json (text)' },

  unbuilt('default-runtime', 'text', wholeLife, ['native']),
  unbuilt('add-runtime', 'list', wholeLife, [], 'runtimes'),
  unbuilt('storage-driver', 'text', 'overlay2 is the only one', ['overlay2'], 'storage-driver'),
  unbuilt('storage-opt', 'list', never, [], 'storage-opts'),
  unbuilt('log-driver', 'text', wholeLife, ['json-file']),
  unbuilt('log-opt', 'list', wholeLife, [], 'log-opts'),
  unbuilt('exec-opt', 'list', 'cgroups are always driven by cgroupfs', ['native.cgroupdriver=cgroupfs'], 'exec-opts'),
  unbuilt('insecure-registry', 'list', registries, [], 'insecure-registries'),
  unbuilt('registry-mirror', 'list', registries, [], 'registry-mirrors'),
  unbuilt('max-concurrent-downloads', 'number', registries),
  unbuilt('max-concurrent-uploads', 'number', registries),
  unbuilt('max-download-attempts', 'number', registries),
  unbuilt('iptables', 'switch', networks, ['false']),
  unbuilt('ip6tables', 'switch', networks, ['false']),
  unbuilt('ip-forward', 'switch', networks, ['false']),
  unbuilt('ip-masq', 'switch', networks, ['false']),
  unbuilt('ipv6', 'switch', networks, ['false']),
  unbuilt('icc', 'switch', networks),
  unbuilt('userland-proxy', 'switch', networks, ['false']),
  ...[
    'bridge',
    'bip',
    'bip6',
    'fixed-cidr',
    'fixed-cidr-v6',
    'default-gateway',
    'default-gateway-v6',
    'ip',
    'mtu',
    'userland-proxy-path',
  ].map((flag) => unbuilt(flag, 'text', networks)),
  unbuilt('default-address-pool', 'list', networks, [], 'default-address-pools'),
  unbuilt('default-network-opt', 'list', networks, [], 'default-network-opts'),
  unbuilt('host-gateway-ip', 'list', networks, [], 'host-gateway-ips'),
  ...['dns', 'dns-opt', 'dns-search'].map((flag) =>
    unbuilt(flag, 'list', networks, [], flag === 'dns' ? 'dns' : `${flag}${flag === 'dns-opt' ? 's' : ''}`),
  ),
  unbuilt('default-ulimit', 'list', wholeLife, [], 'default-ulimits'),
  ...['cgroup-parent', 'default-shm-size', 'default-cgroupns-mode', 'default-ipc-mode', 'seccomp-profile', 'oom-score-adjust'].map((flag) =>
    unbuilt(flag, 'text', wholeLife),
  ),
  unbuilt('init', 'switch', wholeLife, ['false']),
  unbuilt('init-path', 'text', wholeLife),
  unbuilt('no-new-privileges', 'switch', wholeLife, ['false']),
  unbuilt('selinux-enabled', 'switch', never, ['false']),
  unbuilt('userns-remap', 'text', 'user namespaces come later'),
  unbuilt('rootless', 'switch', 'the daemon needs root', ['false'], null),
  unbuilt('experimental', 'switch', 'nothing here is experimental', ['false']),
  unbuilt('swarm-default-advertise-addr', 'text', never),
  unbuilt('containerd', 'text', never),
  unbuilt('containerd-namespace', 'text', never),
  unbuilt('containerd-plugins-namespace', 'text', never),
  unbuilt('cri-containerd', 'switch', never, ['false'], null),
  unbuilt('authorization-plugin', 'list', never, [], 'authorization-plugins'),
  unbuilt('metrics-addr', 'text', 'metrics are not planned yet'),
  unbuilt('raw-logs', 'switch', 'use --log-format', ['false']),
  unbuilt('cpu-rt-period', 'number', wholeLife, ['0']),
  unbuilt('cpu-rt-runtime', 'number', wholeLife, ['0']),
  unbuilt('network-control-plane-mtu', 'number', never),
  unbuilt('node-generic-resource', 'list', never, [], 'node-generic-resources'),
  unbuilt('cdi-spec-dir', 'list', 'it comes with devices (issue 8)', [], 'cdi-spec-dirs'),
  unbuilt('feature', 'list', never, [], 'features'),
  ...['tls', 'tlsverify'].map((flag) => unbuilt(flag, 'switch', 'the API is served on unix sockets only so far', ['false'])),
  ...['tlscacert', 'tlscert', 'tlskey'].map((flag) => unbuilt(flag, 'text', 'the API is served on unix sockets only so far')),
  unbuilt('allow-direct-routing', 'switch', networks, ['false']),
  unbuilt('bridge-accept-fwmark', 'text', networks),
  unbuilt('firewall-backend', 'text', networks),
  unbuilt('http-proxy', 'text', registries, [], null),
  unbuilt('https-proxy', 'text', registries, [], null),
  unbuilt('no-proxy', 'text', registries, [], null),
  unbuilt('proxies', 'list', registries),
  unbuilt('allow-nondistributable-artifacts', 'list', registries),
];

/** Throws unless the value says what is so anyway. `name` as the person wrote it: `--bip` or `bip`. */
export function refuseUnbuilt(setting: Setting, name: string, values: readonly string[]): void {
  const { unbuilt: refusal } = setting;
  if (refusal === undefined || values.every((value) => refusal.accepted.includes(value))) return;
  const only = refusal.accepted.length === 0 ? '' : ` (only ${refusal.accepted.join(', ')} is)`;
  throw notImplemented(`${name} ${values.join(' ')} is not supported yet${only}: ${refusal.why}`);
}

export function parseSwitch(text: string, name: string): boolean {
  const lower = text.toLowerCase();
  if (['true', '1', 't'].includes(lower)) return true;
  if (['false', '0', 'f'].includes(lower)) return false;
  throw invalid(`invalid value for ${name}: ${JSON.stringify(text)} is neither true nor false`);
}
