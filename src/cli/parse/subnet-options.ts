/** `--subnet`, `--ip-range`, `--gateway` and `--aux-address` of `network create`: each of the latter belongs to the subnet that it lies in. */
import { BlockList, isIP } from 'node:net';
import { CliError } from '../cli-error.ts';

export interface SubnetOptions {
  readonly subnets: readonly string[];
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  readonly auxiliary: Readonly<Record<string, string>>;
}

export interface SubnetConfig {
  readonly Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

export function planSubnets({ subnets, ranges, gateways, auxiliary }: SubnetOptions): SubnetConfig[] {
  if (subnets.length < ranges.length || subnets.length < gateways.length)
    throw new CliError('every ip-range or gateway must have a corresponding subnet');
  const plan = subnets.map((Subnet): SubnetConfig => ({ Subnet }));
  refuseOverlap(subnets);
  for (const range of ranges) {
    const config = subnetOf(plan, range, 'range');
    if (config.IPRange !== undefined)
      throw new CliError(`cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${config.Subnet})`);
    config.IPRange = range;
  }
  for (const gateway of gateways) {
    const config = subnetOf(plan, gateway, 'gateway');
    if (config.Gateway !== undefined)
      throw new CliError(`cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${config.Subnet})`);
    config.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(auxiliary)) {
    const config = subnetOf(plan, address, 'aux-address');
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return plan;
}

function refuseOverlap(subnets: readonly string[]): void {
  for (const [at, first] of subnets.entries()) {
    for (const second of subnets.slice(at + 1)) {
      if (contains(first, second) || contains(second, first))
        throw new CliError('multiple overlapping subnet configuration is not supported');
    }
  }
}

function subnetOf(plan: readonly SubnetConfig[], text: string, what: string): SubnetConfig {
  const found = plan.find(({ Subnet }) => contains(Subnet, text));
  if (found === undefined) throw new CliError(`no matching subnet for ${what} ${text}`);
  return found;
}

/** `text`: an address, or a subnet, of which the address counts. A subnet that is none is refused as soon as something is to lie in it. */
function contains(subnet: string, text: string): boolean {
  const [base = '', prefix = ''] = subnet.split('/');
  const family = isIP(base);
  if (family === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128))
    throw new CliError(`invalid subnet: invalid CIDR address: ${subnet}`);
  const address = text.split('/', 1)[0] ?? '';
  if (isIP(address) !== family) return false;
  const list = new BlockList();
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(base, Number(prefix), kind);
  return list.check(address, kind);
}
