import { csvFields } from '../../base/csv-fields.ts';
import { type Command, oneArgument } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { keyValueMap } from '../parse/environment.ts';
import { planSubnets } from '../parse/subnet-options.ts';

export const networkCreate: Command = {
  usage: '[OPTIONS] NETWORK',
  flags: defineFlags(`
      --attachable           Enable manual container attachment
      --aux-address map      Auxiliary IPv4 or IPv6 addresses that are given to no container (name=address)
      --config-from string   The network from which to copy the configuration
      --config-only          Create a configuration only network
  -d, --driver string        Driver to manage the network: bridge, macvlan, ipvlan (default "bridge")
      --gateway strings      IPv4 or IPv6 gateway of the subnet
      --ingress              Create swarm routing-mesh network
      --internal             Restrict external access to the network
      --ip-range strings     Allocate container addresses from a sub-range
      --ipam-driver string   IP address management driver (default "default")
      --ipam-opt map         Set options of the IP address management driver
      --ipv4                 Enable or disable IPv4 address assignment (default true)
      --ipv6                 Enable or disable IPv6 address assignment
      --label list           Set metadata on a network
  -o, --opt map              Set driver specific options
      --scope string         Control the network's scope
      --subnet strings       Subnet in CIDR format that represents a network segment
`),
  args: oneArgument,
  async run(context) {
    const { Id, Warning } = await context.client.networks.create(createRequest(context.flags, context.args[0] ?? ''));
    if (Warning !== undefined && Warning !== '') context.printError(`WARNING: ${Warning}\n`);
    context.print(`${Id}\n`);
    return 0;
  },
};

/** The body of `POST /networks/create`. Whether there is IPv4 or IPv6 is left to the daemon unless it was said. */
function createRequest(flags: FlagValues, name: string): object {
  const slice = (flag: string) => flags.parsedList(flag, csvFields).flat();
  const configFrom = flags.string('config-from');
  return {
    Name: name,
    Driver: flags.string('driver'),
    Scope: flags.string('scope'),
    ...(flags.has('ipv4') ? { EnableIPv4: flags.bool('ipv4') } : {}),
    ...(flags.has('ipv6') ? { EnableIPv6: flags.bool('ipv6') } : {}),
    IPAM: {
      Driver: flags.string('ipam-driver'),
      Options: keyValueMap(flags.list('ipam-opt')),
      Config: planSubnets({
        subnets: slice('subnet'),
        ranges: slice('ip-range'),
        gateways: slice('gateway'),
        auxiliary: keyValueMap(flags.list('aux-address')),
      }),
    },
    Internal: flags.bool('internal'),
    Attachable: flags.bool('attachable'),
    Ingress: flags.bool('ingress'),
    ConfigOnly: flags.bool('config-only'),
    ConfigFrom: configFrom === '' ? null : { Network: configFrom },
    Options: keyValueMap(flags.list('opt')),
    Labels: keyValueMap(flags.list('label')),
  };
}
