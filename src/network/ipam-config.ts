/** The address configuration that a person gave for a network, checked: Docker's texts, all that is wrong at once. Pure. */
import { invalid } from '../base/errors.ts';
import {
  type Address,
  contains,
  containsSubnet,
  type Family,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseCidr,
  parseSubnet,
  type Subnet,
} from './ip-address.ts';
import type { IpamConfig } from './networks.ts';

/** The kernel would take them, and then deliver nothing, or take packets of the host away. */
const specialSubnets = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '::/127', 'ff00::/8'].flatMap((text) => parseSubnet(text) ?? []);

export interface FamilyWish {
  readonly subnet: Subnet;
  readonly range: Subnet | null;
  readonly gateway: Address | null;
  readonly auxiliary: ReadonlyMap<string, Address>;
}

/** Null: nothing was said of this family. */
export interface IpamWishes {
  readonly v4: FamilyWish | null;
  readonly v6: FamilyWish | null;
}

export interface EnabledFamilies {
  readonly driver: string;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

export function checkIpamConfig(configs: readonly IpamConfig[], enabled: EnabledFamilies): IpamWishes {
  const problems: string[] = [];
  const wishes = configs.map((config) => wishOf(config, problems)).filter((wish) => wish !== null);
  for (const { subnet } of wishes) if (!isEnabled(subnet.family, enabled)) problems.push(notEnabled(subnet));
  const of = (family: Family) => {
    const [first = null, ...more] = wishes.filter(({ subnet }) => subnet.family === family);
    if (more.length > 0)
      problems.push(`${enabled.driver} driver doesn't support multiple subnets of one family: ${texts([first, ...more])}`);
    return first;
  };
  const result = { v4: of(4), v6: of(6) };
  if (problems.length > 0) throw invalid(`invalid network config:\n${problems.join('\n')}`);
  return result;
}

function texts(wishes: readonly (FamilyWish | null)[]): string {
  return wishes.flatMap((wish) => (wish === null ? [] : [formatSubnet(wish.subnet)])).join(' and ');
}

function isEnabled(family: Family, enabled: EnabledFamilies): boolean {
  return family === 4 ? enabled.ipv4 : enabled.ipv6;
}

function notEnabled(subnet: Subnet): string {
  const how = subnet.family === 6 ? 'add --ipv6' : 'leave --ipv4=false out';
  return `invalid subnet ${formatSubnet(subnet)}: IPv${subnet.family} is not enabled for this network: ${how}`;
}

/** Nothing but a gateway, range or auxiliary address says nothing without its subnet. */
function wishOf(config: IpamConfig, problems: string[]): FamilyWish | null {
  const { Subnet = '', IPRange = '', Gateway = '', AuxiliaryAddresses = {} } = config;
  if (Subnet === '') {
    if (IPRange !== '' || Gateway !== '' || Object.keys(AuxiliaryAddresses).length > 0)
      problems.push('invalid subnet : every ip-range, gateway and auxiliary address needs the subnet that it lies in');
    return null;
  }
  const parsed = parseCidr(Subnet);
  if (parsed === null) {
    problems.push(`invalid subnet ${Subnet}: invalid CIDR block notation`);
    return null;
  }
  const { subnet, address } = parsed;
  if (address.value !== subnet.base) problems.push(`invalid subnet ${Subnet}: it should be ${formatSubnet(subnet)}`);
  if (subnet.prefix === 0) problems.push(`invalid subnet ${Subnet}: it is the whole of IPv${subnet.family}`);
  else if (overlapsSpecial(subnet))
    problems.push(`invalid subnet ${Subnet}: no container can have a loopback, multicast or unspecified address`);
  const range = rangeOf(IPRange, subnet, problems);
  const gateway = Gateway === '' ? null : addressIn(Gateway, subnet, `gateway ${Gateway}`, problems);
  return { subnet, range, gateway, auxiliary: auxiliaryOf(AuxiliaryAddresses, subnet, gateway, problems) };
}

function overlapsSpecial(subnet: Subnet): boolean {
  return specialSubnets.some((special) => special.family === subnet.family && overlaps(special, subnet));
}

function rangeOf(text: string, subnet: Subnet, problems: string[]): Subnet | null {
  if (text === '') return null;
  const bad = (why: string) => {
    problems.push(`invalid ip-range ${text}: ${why}`);
    return null;
  };
  const parsed = parseCidr(text);
  if (parsed === null) return bad('invalid CIDR block notation');
  if (parsed.subnet.family !== subnet.family) return bad(`parent subnet is an IPv${subnet.family} block`);
  if (parsed.subnet.prefix < subnet.prefix) return bad(`CIDR block is bigger than its parent subnet ${formatSubnet(subnet)}`);
  if (parsed.address.value !== parsed.subnet.base) return bad(`it should be ${formatSubnet(parsed.subnet)}`);
  if (!containsSubnet(subnet, parsed.subnet)) return bad(`parent subnet ${formatSubnet(subnet)} doesn't contain ip-range`);
  return parsed.subnet;
}

function addressIn(text: string, subnet: Subnet, what: string, problems: string[]): Address | null {
  const bad = (why: string) => {
    problems.push(`invalid ${what}: ${why}`);
    return null;
  };
  const address = parseAddress(text);
  if (address === null) return bad('invalid address');
  if (address.family !== subnet.family) return bad(`parent subnet is an IPv${subnet.family} block`);
  if (!contains(subnet, address)) return bad(`parent subnet ${formatSubnet(subnet)} doesn't contain this address`);
  return address;
}

function auxiliaryOf(
  given: Readonly<Record<string, string>>,
  subnet: Subnet,
  gateway: Address | null,
  problems: string[],
): ReadonlyMap<string, Address> {
  const owners = new Map<string, string>(gateway === null ? [] : [[formatAddress(gateway), 'the gateway']]);
  const result = new Map<string, Address>();
  for (const [name, text] of Object.entries(given)) {
    const address = addressIn(text, subnet, `auxiliary address ${name}`, problems);
    if (address === null) continue;
    const canonical = formatAddress(address);
    const owner = owners.get(canonical);
    if (owner !== undefined) problems.push(`invalid auxiliary address ${name}: ${canonical} is ${owner} already`);
    owners.set(canonical, `the auxiliary address ${name}`);
    result.set(name, address);
  }
  return result;
}
