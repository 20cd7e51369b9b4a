/** Which capabilities a container gets: Docker's 14, `CapAdd`, `CapDrop`, `ALL`, `Privileged`, never more than the host lets us give. */
import { invalid } from '../base/errors.ts';
import { capabilityNames } from '../linux/constants.ts';
import type { HostConfig } from './config.ts';

/** In Docker's order (daemon/pkg/oci/caps). */
export const defaultCapabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
] as const;

const all = 'ALL';

export interface CapabilitySet {
  readonly capabilities: readonly string[];
  /** Asked for as part of "all" but not ours to give: worth a warning. */
  readonly withheld: readonly string[];
}

type CapabilityRequest = Pick<HostConfig, 'CapAdd' | 'CapDrop' | 'Privileged'>;

export function capabilitySet(hostConfig: CapabilityRequest, host: ReadonlySet<string>): CapabilitySet {
  const added = normaliseCapabilities(hostConfig.CapAdd ?? [], 'CapAdd');
  const dropped = new Set(normaliseCapabilities(hostConfig.CapDrop ?? [], 'CapDrop'));
  if (hostConfig.Privileged) return limit(capabilityNames, host);
  if (added.includes(all)) {
    return limit(
      capabilityNames.filter((name) => !dropped.has(name)),
      host,
    );
  }
  for (const name of added) refuseWithheld(name, host);
  const base = dropped.has(all) ? [] : defaultCapabilities.filter((name) => !dropped.has(name));
  return limit([...new Set([...base, ...added])], host);
}

/** `net_admin` → `CAP_NET_ADMIN`; `all`, `CAP_ALL` → `ALL`. */
export function normaliseCapabilities(names: readonly string[], field: 'CapAdd' | 'CapDrop'): string[] {
  return names.map((given) => {
    const upper = given.toUpperCase();
    if (upper === all || upper === 'CAP_ALL') return all;
    const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    if (!(capabilityNames as readonly string[]).includes(name)) throw invalid(`invalid ${field}: unknown capability: "${name}"`);
    return name;
  });
}

function limit(wanted: readonly string[], host: ReadonlySet<string>): CapabilitySet {
  return { capabilities: wanted.filter((name) => host.has(name)), withheld: wanted.filter((name) => !host.has(name)) };
}

function refuseWithheld(name: string, host: ReadonlySet<string>): void {
  if (host.has(name)) return;
  throw invalid(
    `invalid CapAdd: ${name} cannot be given: this host withholds it from Gantry (CapBnd in /proc/self/status). Drop the option or run Gantry where it has the capability`,
  );
}
