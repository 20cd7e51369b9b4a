/** `network connect` and `network disconnect`: networks of a container that exists, running or not. */

import { csvFields } from '../../base/csv-fields.ts';
import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import type { FlagValues } from '../flags/flag-values.ts';

const twoArguments = { min: 2, max: 2 } as const;

export const networkConnect: Command = {
  usage: '[OPTIONS] NETWORK CONTAINER',
  flags: defineFlags(`
      --alias strings           Add network-scoped alias for the container
      --driver-opt strings      Driver options for the network
      --gw-priority int         The network with the highest priority provides the default gateway; negative values too
      --ip string               IPv4 address (e.g., "172.30.100.104")
      --ip6 string              IPv6 address (e.g., "2001:db8::33")
      --link list               Add link to another container
      --link-local-ip strings   Add a link-local address for the container
`),
  args: twoArguments,
  async run({ client, flags, args }) {
    const [network = '', container = ''] = args;
    await client.networks.connect(network, container, endpointOf(flags));
    return 0;
  },
};

export const networkDisconnect: Command = {
  usage: '[OPTIONS] NETWORK CONTAINER',
  flags: defineFlags('-f, --force   Force the container to disconnect from a network'),
  args: twoArguments,
  async run({ client, flags, args }) {
    const [network = '', container = ''] = args;
    await client.networks.disconnect(network, container, flags.bool('force'));
    return 0;
  },
};

function endpointOf(flags: FlagValues): object {
  const slice = (flag: string) => flags.parsedList(flag, csvFields).flat();
  const given = (name: string, value: string) => (value === '' ? {} : { [name]: value });
  const linkLocal = slice('link-local-ip');
  const links = flags.list('link');
  return {
    IPAMConfig: {
      ...given('IPv4Address', flags.string('ip')),
      ...given('IPv6Address', flags.string('ip6')),
      ...(linkLocal.length === 0 ? {} : { LinkLocalIPs: linkLocal }),
    },
    Links: links.length === 0 ? null : links,
    Aliases: slice('alias'),
    DriverOpts: driverOptions(slice('driver-opt')),
    GwPriority: flags.int('gw-priority'),
  };
}

function driverOptions(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals <= 0) throw new CliError('invalid key/value pair format in driver options');
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
