/**
 * What can be told to the daemon: one table for the flags (named as dockerd's) and the keys of the configuration file (dockerd's too). A setting of dockerd
 * that is not built is in the table with what brings it, so that it is refused by name instead of being ignored; any other name is unknown.
 */
import { invalid, notImplemented } from '../base/errors.ts';
import { buildSettings } from './build-options.ts';
import { deviceSettings } from './device-options.ts';
import { logOptionTable } from './log-options.ts';
import { networkOptionTable } from './network-option-table.ts';
import { registryOptionTable } from './registry-option-table.ts';
import { resourceSettings } from './resource-options.ts';
import { runtimeSettings } from './runtime-options.ts';
import { securitySettings } from './security-options.ts';
import type { Setting, SettingKind } from './setting.ts';
import { withRegistrySettings } from './with-registry-options.ts';

const never = 'Gantry has nothing like it';

function unbuilt(flag: string, kind: SettingKind, why: string, accepted: readonly string[] = [], key: string | null = flag): Setting {
  return { flag, key, kind, help: '', unbuilt: { accepted, why } };
}

/** `{"cdi": true}` is `cdi=true`. */
function featuresFromJson(value: unknown, name: string): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} must be an object`);
  return Object.entries(value).map(([feature, on]) => `${feature}=${String(on)}`);
}

export const settings: readonly Setting[] = [
  {
    flag: 'host',
    short: 'H',
    key: 'hosts',
    kind: 'list',
    help: 'address to listen on: unix:///path, tcp://ADDRESS:PORT or fd:// (repeatable)',
  },
  { flag: 'tlsverify', key: 'tlsverify', kind: 'switch', help: 'TLS on tcp://, and only for clients with a certificate of --tlscacert' },
  { flag: 'tls', key: 'tls', kind: 'switch', help: 'implied by --tlsverify, and refused without it' },
  { flag: 'tlscacert', key: 'tlscacert', kind: 'text', help: 'authority of the clients (DOCKER_CERT_PATH or ~/.docker, ca.pem)' },
  { flag: 'tlscert', key: 'tlscert', kind: 'text', help: 'our certificate (cert.pem there)' },
  { flag: 'tlskey', key: 'tlskey', kind: 'text', help: 'its key (key.pem there)' },
  {
    flag: 'insecure-tcp',
    key: 'insecure-tcp',
    kind: 'switch',
    help: 'tcp:// on loopback without TLS: every user of this host is root then',
  },
  { flag: 'data-root', key: 'data-root', kind: 'text', help: 'directory of images and containers (/var/lib/gantry)' },
  { flag: 'exec-root', key: 'exec-root', kind: 'text', help: 'directory of what only lives until the next boot (/run/gantry)' },
  { flag: 'pidfile', short: 'p', key: 'pidfile', kind: 'text', help: "file for the daemon's process id" },
  { flag: 'config-file', key: null, kind: 'text', help: "JSON file with dockerd's keys (/etc/gantry/daemon.json when there)" },
  { flag: 'validate', key: null, kind: 'switch', help: 'check the options and the configuration file, and end' },
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
  { flag: 'init', key: 'init', kind: 'switch', help: 'containers get an init as process 1 unless they say otherwise (false)' },
  { flag: 'init-path', key: 'init-path', kind: 'text', help: "a static program to be that init (Gantry's own)" },
  ...networkOptionTable,
  ...logOptionTable,
  ...runtimeSettings,
  ...securitySettings,
  ...resourceSettings,
  ...registryOptionTable,
  ...withRegistrySettings,
  ...buildSettings,
  ...deviceSettings,

  unbuilt('storage-driver', 'text', 'overlay2 is the only one', ['overlay2'], 'storage-driver'),
  unbuilt('storage-opt', 'list', never, [], 'storage-opts'),
  unbuilt('exec-opt', 'list', 'cgroups are always driven by cgroupfs', ['native.cgroupdriver=cgroupfs'], 'exec-opts'),
  unbuilt('oom-score-adjust', 'text', 'give it to the daemon where it is started: OOMScoreAdjust= of systemd, or choom', ['0']),
  unbuilt('selinux-enabled', 'switch', never, ['false']),
  unbuilt('userns-remap', 'text', 'each container can have ids of its own: use --userns auto of run, or --hardened'),
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
  unbuilt('network-control-plane-mtu', 'number', never),
  unbuilt('node-generic-resource', 'list', never, [], 'node-generic-resources'),
  {
    ...unbuilt('feature', 'list', never, ['cdi', 'cdi=true', 'buildkit', 'buildkit=true', 'containerd-snapshotter=false'], 'features'),
    fromJson: featuresFromJson,
  },
  unbuilt('allow-direct-routing', 'switch', 'use com.docker.network.bridge.trusted_host_interfaces or gateway mode routed of a network', [
    'false',
  ]),
  unbuilt('bridge-accept-fwmark', 'text', 'write the rule into the table gantry-user'),
  unbuilt('firewall-backend', 'text', 'the kernel is told directly, by nftables', ['nftables']),
  unbuilt('userland-proxy-path', 'text', 'the proxy is a part of the daemon'),
  unbuilt('allow-nondistributable-artifacts', 'list', 'Docker gave it up too: it is no choice of a registry'),
];

/** Throws unless the value says what is so anyway. `name` as the person wrote it: `--bip` or `bip`. */
export function refuseUnbuilt(setting: Setting, name: string, values: readonly string[]): void {
  const { unbuilt: refusal } = setting;
  if (refusal === undefined || values.every((value) => refusal.accepted.includes(value))) return;
  const only = refusal.accepted.length === 0 ? '' : ` (only ${refusal.accepted.join(', ')} is)`;
  throw notImplemented(`${name} ${values.join(' ')} is not supported yet${only}: ${refusal.why}`);
}
