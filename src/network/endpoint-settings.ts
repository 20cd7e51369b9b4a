/** What a person said of one endpoint (`--ip`, `--alias`, `--mac-address`, `--driver-opt` …), checked against its network. Pure; Docker's texts. */
import { errorText, invalid } from '../base/errors.ts';
import { isDeviceName } from './driver-options.ts';
import { contains, type Family, parseAddress } from './ip-address.ts';
import { parseMacAddress } from './mac-address.ts';
import type { NetworkRecord, NetworkSubnet } from './network-record.ts';
import { storedSubnet } from './network-registry.ts';
import type { EndpointSettings } from './networks.ts';

const sysctlsOption = 'com.docker.network.endpoint.sysctls';
const interfaceOption = 'com.docker.network.endpoint.ifname';

export interface EndpointWishes {
  readonly macAddress: string | null;
  readonly linkLocal: readonly string[];
  readonly interfaceName: string | null;
  /** Key → value; IFNAME not replaced yet. */
  readonly sysctls: Readonly<Record<string, string>>;
}

export const noEndpointSettings: EndpointSettings = {
  IPAMConfig: null,
  Links: null,
  Aliases: null,
  MacAddress: '',
  DriverOpts: null,
  GwPriority: 0,
};

/** Throws all that is wrong at once. */
export function checkEndpoint(network: NetworkRecord, settings: EndpointSettings): EndpointWishes {
  if (network.configOnly)
    throw invalid(
      `cannot connect a container to ${network.name}: it is a configuration network, a template for networks made with --config-from`,
    );
  const problems: string[] = [];
  if (network.predefined) refuseOnDefault(settings, problems);
  else checkFixedAddresses(network, settings, problems);
  const keep = <T>(otherwise: T, check: () => T): T => {
    try {
      return check();
    } catch (thrown) {
      problems.push(errorText(thrown));
      return otherwise;
    }
  };
  const wishes = {
    macAddress: keep(null, () => macWish(network, settings)),
    linkLocal: keep([], () => linkLocalWish(settings)),
    interfaceName: keep(null, () => interfaceWish(settings)),
    sysctls: keep({}, () => sysctlWish(settings)),
  };
  keep(null, () => refuseUnknownOptions(settings));
  if (problems.length > 0) throw invalid(`invalid config for network ${network.name}: invalid endpoint settings:\n${problems.join('\n')}`);
  return wishes;
}

function refuseOnDefault({ IPAMConfig, Aliases, Links }: EndpointSettings, problems: string[]): void {
  if ((IPAMConfig?.IPv4Address ?? '') !== '' || (IPAMConfig?.IPv6Address ?? '') !== '')
    problems.push('user specified IP address is supported on user defined networks only');
  if ((Aliases ?? []).length > 0) problems.push('network-scoped aliases are only supported for user-defined networks');
  if ((Links ?? []).length > 0) problems.push('links of an endpoint are only supported for user-defined networks');
}

function checkFixedAddresses(network: NetworkRecord, { IPAMConfig }: EndpointSettings, problems: string[]): void {
  const check = (text: string | undefined, family: Family, subnet: NetworkSubnet | null) => {
    if (text === undefined || text === '') return;
    const address = parseAddress(text);
    if (address === null || address.family !== family || address.value === 0n) problems.push(`invalid IPv${family} address: ${text}`);
    else if (subnet?.named !== true)
      problems.push('user specified IP address is supported only when connecting to networks with user configured subnets');
    else if (!contains(storedSubnet(subnet.subnet), address))
      problems.push(`no configured subnet or ip-range contain the IP address ${text}`);
  };
  check(IPAMConfig?.IPv4Address, 4, network.v4);
  check(IPAMConfig?.IPv6Address, 6, network.v6);
}

function macWish(network: NetworkRecord, { MacAddress }: EndpointSettings): string | null {
  if (MacAddress === '') return null;
  if (network.driver === 'ipvlan')
    throw invalid('ipvlan interfaces do not support custom mac address assignment: they have that of their parent');
  return parseMacAddress(MacAddress);
}

function linkLocalWish({ IPAMConfig }: EndpointSettings): readonly string[] {
  for (const text of IPAMConfig?.LinkLocalIPs ?? []) {
    if (parseAddress(text) === null) throw invalid(`invalid link-local IP address: ${text}`);
  }
  return IPAMConfig?.LinkLocalIPs ?? [];
}

function interfaceWish({ DriverOpts }: EndpointSettings): string | null {
  const name = DriverOpts?.[interfaceOption] ?? '';
  if (name === '') return null;
  if (!isDeviceName(name) || name === 'lo') throw invalid(`invalid name of an interface: ${JSON.stringify(name)} (${interfaceOption})`);
  return name;
}

/** `net.ipv4.conf.IFNAME.log_martians=1,…`: only what is of one interface; everything else is for `--sysctl`. */
function sysctlWish({ DriverOpts }: EndpointSettings): Readonly<Record<string, string>> {
  const text = DriverOpts?.[sysctlsOption] ?? '';
  if (text === '') return {};
  const entries = text.split(',').map((setting) => {
    const [, key, value] = /^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh|input)\.IFNAME\.[a-z0-9_]+)=(.*)$/.exec(setting.trim()) ?? [];
    if (key === undefined || value === undefined)
      throw invalid(`unrecognised network interface sysctl '${setting}': it must be like net.ipv4.conf.IFNAME.log_martians=1`);
    return [key, value] as const;
  });
  return Object.fromEntries(entries);
}

function refuseUnknownOptions({ DriverOpts }: EndpointSettings): null {
  const unknown = Object.keys(DriverOpts ?? {}).find(
    (key) => key.startsWith('com.docker.network.') && key !== sysctlsOption && key !== interfaceOption,
  );
  if (unknown !== undefined)
    throw invalid(`unknown option of an endpoint: ${JSON.stringify(unknown)}. It knows ${sysctlsOption} and ${interfaceOption}`);
  return null;
}
