/** `--network NAME` or `--network name=…,alias=…,ip=…`, and the older flags that belong to the first network. */
import { csvFields } from '../../base/csv-fields.ts';

export interface NetworkOption {
  target: string;
  aliases: string[];
  driverOptions: Record<string, string>;
  ipv4: string;
  ipv6: string;
  linkLocal: string[];
  macAddress: string;
  gatewayPriority: number;
  links: string[];
}

export function parseNetworkOption(text: string): NetworkOption {
  const network: NetworkOption = {
    target: '',
    aliases: [],
    driverOptions: Object.create(null),
    ipv4: '',
    ipv6: '',
    linkLocal: [],
    macAddress: '',
    gatewayPriority: 0,
    links: [],
  };
  if (!/^\w[\w-]*=/.test(text)) return { ...network, target: text };
  for (const field of csvFields(text)) {
    const equals = field.indexOf('=');
    if (equals === -1) throw new Error(`invalid network field '${field}': must be a key=value pair`);
    assign(network, field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1));
  }
  if (network.target === '') throw new Error('network name/id is not specified');
  return network;
}

function assign(network: NetworkOption, key: string, value: string): void {
  if (key === 'name') network.target = value;
  else if (key === 'alias') network.aliases.push(value);
  else if (key === 'ip') network.ipv4 = value;
  else if (key === 'ip6') network.ipv6 = value;
  else if (key === 'link-local-ip') network.linkLocal.push(value);
  else if (key === 'mac-address') network.macAddress = value;
  else if (key === 'gw-priority') network.gatewayPriority = integer(value);
  else if (key === 'driver-opt') {
    const [name = '', ...rest] = value.split('=');
    if (rest.length === 0) throw new Error('invalid key value pair format in driver options');
    network.driverOptions[name.trim().toLowerCase()] = rest.join('=');
  } else throw new Error(`invalid field key ${key}`);
}

function integer(value: string): number {
  if (!/^-?\d+$/.test(value)) throw new Error(`invalid gw-priority (${value}): invalid syntax`);
  return Number(value);
}

const PREDEFINED = /^(default|bridge|host|none|nat|container:.*)$/;

export function isUserDefined(target: string): boolean {
  return !PREDEFINED.test(target);
}

/** NetworkingConfig.EndpointsConfig, keyed by network. */
export function endpointsConfig(networks: readonly NetworkOption[]): Record<string, unknown> {
  const endpoints: Record<string, unknown> = Object.create(null);
  for (const network of networks) {
    if (network.target === '') throw new Error('no name set for network');
    if (network.target in endpoints) throw new Error(`network "${network.target}" is specified multiple times`);
    const settings = endpoint(network);
    // Modes without a network of their own have nothing to configure; `default` is named all the same.
    if (
      isUserDefined(network.target) ||
      network.target === 'default' ||
      network.target === 'bridge' ||
      networks.length > 1 ||
      says(settings)
    )
      endpoints[network.target] = settings;
  }
  const userDefined = networks.filter((network) => isUserDefined(network.target)).length;
  if (userDefined > 0 && userDefined < networks.length)
    throw new Error('conflicting options: cannot attach both user-defined and non-user-defined network-modes');
  return endpoints;
}

/** The forms that Go's net.ParseMAC takes: 6, 8 or 20 bytes with colons, dashes or, two and two, dots. */
function isMacAddress(text: string): boolean {
  const forms = [/^[\da-f]{2}(:[\da-f]{2})+$/i, /^[\da-f]{2}(-[\da-f]{2})+$/i, /^[\da-f]{4}(\.[\da-f]{4})+$/i];
  return forms.some((form) => form.test(text)) && [6, 8, 20].includes(text.replace(/[:.-]/g, '').length / 2);
}

function says(settings: Record<string, unknown>): boolean {
  return Object.values(settings).some((value) => value !== null);
}

function endpoint(network: NetworkOption): Record<string, unknown> {
  if (network.aliases.length > 0 && !isUserDefined(network.target))
    throw new Error('network-scoped aliases are only supported for user-defined networks');
  if (network.macAddress !== '' && !isMacAddress(network.macAddress)) throw new Error(`${network.macAddress} is not a valid mac address`);
  const ipam = {
    ...(network.ipv4 === '' ? {} : { IPv4Address: network.ipv4 }),
    ...(network.ipv6 === '' ? {} : { IPv6Address: network.ipv6 }),
    ...(network.linkLocal.length === 0 ? {} : { LinkLocalIPs: network.linkLocal }),
  };
  return {
    IPAMConfig: Object.keys(ipam).length === 0 ? null : ipam,
    Links: network.links.length === 0 ? null : network.links,
    Aliases: network.aliases.length === 0 ? null : network.aliases,
    DriverOpts: Object.keys(network.driverOptions).length === 0 ? null : network.driverOptions,
    ...(network.macAddress === '' ? {} : { MacAddress: network.macAddress }),
    ...(network.gatewayPriority === 0 ? {} : { GwPriority: network.gatewayPriority }),
  };
}
