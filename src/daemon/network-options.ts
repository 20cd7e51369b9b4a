/** The daemon's options for networks, checked: texts that are no addresses are refused here, by the name of the option. */
import { errorText, invalid } from '../base/errors.ts';
import { bridgeOptions, ipvlanOptions, isDeviceName, macvlanOptions } from '../network/driver-options.ts';
import {
  contains,
  type Family,
  formatAddress,
  formatSubnet,
  parseAddress,
  parseCidr,
  unusableHost,
  widthOf,
} from '../network/ip-address.ts';
import { defaultNetworkSettings, type NetworkSettings } from '../network/network-settings.ts';
import { parseSwitch } from './switch-text.ts';

/** Values as text, by flag name. */
type RawValues = ReadonlyMap<string, readonly string[]>;

export function networkSettings(values: RawValues): NetworkSettings {
  const one = (flag: string) => values.get(flag)?.at(-1) ?? '';
  const list = (flag: string) => values.get(flag) ?? [];
  const on = (flag: string, otherwise: boolean) => (one(flag) === '' ? otherwise : parseSwitch(one(flag), `--${flag}`));
  const defaults = defaultNetworkSettings;
  const settings: NetworkSettings = {
    bridge: bridgeName(one('bridge')),
    bridgeAddress: bridgeAddress(one('bip'), 4, '--bip'),
    bridgeAddress6: bridgeAddress(one('bip6'), 6, '--bip6'),
    fixedCidr: subnetText(one('fixed-cidr'), 4, '--fixed-cidr'),
    fixedCidr6: subnetText(one('fixed-cidr-v6'), 6, '--fixed-cidr-v6'),
    ipv6: on('ipv6', defaults.ipv6),
    defaultGateway: addressText(one('default-gateway'), 4, '--default-gateway'),
    defaultGateway6: addressText(one('default-gateway-v6'), 6, '--default-gateway-v6'),
    addressPools: list('default-address-pool').map(addressPool),
    networkOptions: networkOptions(list('default-network-opt')),
    mtu: mtu(one('mtu')),
    icc: on('icc', defaults.icc),
    masquerade: on('ip-masq', defaults.masquerade),
    publishAddress: publishAddress(one('ip')),
    publishMode: publishMode(one('publish-mode')),
    hardened: on('hardened', defaults.hardened),
    ipForward: on('ip-forward', defaults.ipForward),
    firewall: on('iptables', defaults.firewall),
    firewall6: on('ip6tables', defaults.firewall6),
    forwardJump: on('forward-jump', defaults.forwardJump),
    userlandProxy: on('userland-proxy', defaults.userlandProxy),
    dns: { servers: list('dns').map(dnsServer), search: list('dns-search').map(searchDomain), options: list('dns-opt') },
    hostGatewayIps: hostGateways(list('host-gateway-ip')),
  };
  refuseContradictions(settings);
  return settings;
}

function bad(flag: string, text: string, why: string): Error {
  return invalid(`invalid value for ${flag}: ${JSON.stringify(text)} ${why}`);
}

function bridgeName(text: string): string | null {
  if (text === '') return null;
  if (!isDeviceName(text)) throw bad('--bridge', text, 'is no name of a network device');
  return text;
}

/** An address that a host can have, with its prefix. */
function bridgeAddress(text: string, family: Family, flag: string): string | null {
  if (text === '') return null;
  const cidr = parseCidr(text);
  const example = family === 4 ? '172.17.0.1/16' : 'fd00::1/64';
  if (cidr === null || cidr.subnet.family !== family) throw bad(flag, text, `is no IPv${family} address with a prefix, like ${example}`);
  if (unusableHost(cidr.subnet, cidr.address))
    throw bad(flag, text, `is the address of a whole network, the bridge needs one in it, like ${example}`);
  return `${formatAddress(cidr.address)}/${cidr.subnet.prefix}`;
}

function subnetText(text: string, family: Family, flag: string): string | null {
  if (text === '') return null;
  const cidr = parseCidr(text);
  if (cidr === null || cidr.subnet.family !== family) throw bad(flag, text, `is no IPv${family} subnet`);
  return formatSubnet(cidr.subnet);
}

function addressText(text: string, family: Family, flag: string): string | null {
  if (text === '') return null;
  const address = parseAddress(text);
  if (address === null || address.family !== family) throw bad(flag, text, `is no IPv${family} address`);
  return formatAddress(address);
}

/** `base=10.0.0.0/8,size=24`; dockerd takes `scope=local` too. */
function addressPool(text: string): NetworkSettings['addressPools'][number] {
  const flag = '--default-address-pool';
  const fields = new Map(text.split(',').map((field) => [field.split('=')[0] ?? '', field.slice(field.indexOf('=') + 1)]));
  const unknown = [...fields.keys()].find((key) => !['base', 'size', 'scope'].includes(key));
  if (unknown !== undefined || !['local', undefined].includes(fields.get('scope'))) throw bad(flag, text, 'is not base=CIDR,size=PREFIX');
  const base = parseCidr(fields.get('base') ?? '');
  const size = fields.get('size') ?? '';
  if (base === null || !/^\d+$/.test(size)) throw bad(flag, text, 'is not base=CIDR,size=PREFIX, like base=10.0.0.0/8,size=24');
  const largest = widthOf(base.subnet.family) - 2;
  if (Number(size) < base.subnet.prefix || Number(size) > largest)
    throw bad(flag, text, `has an invalid size: ${base.subnet.prefix} to ${largest} is possible with ${formatSubnet(base.subnet)}`);
  return { base: formatSubnet(base.subnet), size: Number(size) };
}

/** `bridge=com.docker.network.driver.mtu=1400`, checked as the driver will check it. */
function networkOptions(texts: readonly string[]): NetworkSettings['networkOptions'] {
  const result: Record<string, Record<string, string>> = {};
  for (const text of texts) {
    const [, driver, option, value] = /^([^=]+)=([^=]+)=(.*)$/s.exec(text) ?? [];
    if (driver === undefined || option === undefined || value === undefined)
      throw bad('--default-network-opt', text, 'is not DRIVER=OPTION=VALUE');
    result[driver] = { ...result[driver], [option]: value };
  }
  for (const [driver, options] of Object.entries(result)) checkDriverOptions(driver, options);
  return result;
}

function checkDriverOptions(driver: string, options: Readonly<Record<string, string>>): void {
  const checks: Readonly<Record<string, () => unknown>> = {
    bridge: () => bridgeOptions(options, { internal: true, defaultBridge: false }),
    macvlan: () => macvlanOptions(options),
    ipvlan: () => ipvlanOptions(options),
  };
  const check = Object.hasOwn(checks, driver) ? checks[driver] : undefined;
  if (check === undefined) throw bad('--default-network-opt', driver, 'is no driver: bridge, macvlan and ipvlan are');
  try {
    check();
  } catch (thrown) {
    throw invalid(`invalid value for --default-network-opt: ${errorText(thrown)}`, { cause: thrown });
  }
}

/** 0 is dockerd's word for its default. */
function mtu(text: string): number {
  const number = text === '' || text === '0' ? defaultNetworkSettings.mtu : Number(text);
  if (!Number.isInteger(number) || number < 68 || number > 65_535) throw bad('--mtu', text, 'is no number from 68 to 65535');
  return number;
}

function publishAddress(text: string): string {
  if (text === '') return '';
  const address = parseAddress(text);
  if (address === null) throw bad('--ip', text, 'is no IP address');
  return address.value === 0n ? '' : formatAddress(address);
}

function publishMode(text: string): 'nat' | 'proxy' {
  if (text === '' || text === 'nat') return 'nat';
  if (text === 'proxy') return 'proxy';
  throw bad('--publish-mode', text, 'is neither nat nor proxy');
}

function dnsServer(text: string): string {
  const address = parseAddress(text);
  if (address === null) throw bad('--dns', text, 'is no IP address');
  return formatAddress(address);
}

function searchDomain(text: string): string {
  if (text === '' || /\s/.test(text)) throw bad('--dns-search', text, 'is no domain');
  return text;
}

function hostGateways(texts: readonly string[]): readonly string[] {
  const addresses = texts.map((text) => {
    const address = parseAddress(text);
    if (address === null) throw bad('--host-gateway-ip', text, 'is no IP address');
    return address;
  });
  for (const family of [4, 6] as const) {
    if (addresses.filter((address) => address.family === family).length > 1)
      throw bad('--host-gateway-ip', texts.join(', '), `names more than one IPv${family} address`);
  }
  return addresses.map(formatAddress);
}

function refuseContradictions(settings: NetworkSettings): void {
  const { bridge, bridgeAddress: bip, fixedCidr } = settings;
  if (bridge !== null && (bip !== null || settings.bridgeAddress6 !== null))
    throw invalid('You specified -b & --bip, mutually exclusive options. Please specify only one.');
  const own = bip === null ? null : parseCidr(bip);
  const gateway = settings.defaultGateway === null ? null : parseAddress(settings.defaultGateway);
  if (own !== null && gateway !== null && !contains(own.subnet, gateway))
    throw invalid(`--default-gateway ${settings.defaultGateway} does not lie in the subnet of --bip ${bip}`);
  const range = fixedCidr === null ? null : parseCidr(fixedCidr);
  if (own !== null && range !== null && !contains(own.subnet, range.address))
    throw invalid(`--fixed-cidr ${fixedCidr} does not lie in the subnet of --bip ${bip}`);
}
