/** `ports`, which Docker has not: everything that is exposed, by whom, and from where it can be reached. */
import type { PublishedPort } from '../../client/types.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { shortId } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { Struct } from '../template/go-value.ts';
import { compareNaturally } from '../views/natural-order.ts';

const headers = {
  Address: 'ADDRESS', HostIp: 'HOST IP', HostPort: 'HOST PORT', Protocol: 'PROTOCOL', Container: 'CONTAINER', ContainerID: 'CONTAINER ID', Target: 'TARGET',
  ContainerIp: 'CONTAINER IP', ContainerPort: 'CONTAINER PORT', Network: 'NETWORK', How: 'HOW', ReachableFrom: 'REACHABLE FROM',
}; // biome-ignore format: a table

const defaultTable = '{{.Address}}\t{{.Container}}\t{{.Target}}\t{{.Network}}\t{{.How}}\t{{.ReachableFrom}}';

export const ports: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --no-trunc        Do not truncate the output
  -q, --quiet           Only display addresses
`),
  args: noArguments,
  async run(context) {
    const { client, flags } = context;
    const published = await client.networks.publishedPorts();
    const rows = [...published].sort(comparePorts).map((port) => portRow(port, !flags.bool('no-trunc')));
    const format = flags.string('format');
    const isQuiet = flags.bool('quiet') && (format === '' || format === 'table');
    context.print(formatRows({ format: isQuiet ? '{{.Address}}' : format, defaultTable, headers }, rows));
    return 0;
  },
};

function comparePorts(a: PublishedPort, b: PublishedPort): number {
  return a.HostPort - b.HostPort || compareNaturally(a.Protocol, b.Protocol) || compareNaturally(a.HostIp, b.HostIp);
}

function portRow(port: PublishedPort, truncate: boolean): Struct {
  return new Struct(
    'portContext',
    {
      Address: `${joinHost(port.HostIp, port.HostPort)}/${port.Protocol}`,
      Container: port.ContainerName,
      ContainerID: truncate ? shortId(port.ContainerID) : port.ContainerID,
      ContainerIp: port.ContainerIp,
      ContainerPort: String(port.ContainerPort),
      HostIp: port.HostIp,
      HostPort: String(port.HostPort),
      How: port.How,
      Network: port.Network,
      Protocol: port.Protocol,
      ReachableFrom: port.ReachableFrom.join(', '),
      Target: joinHost(port.ContainerIp, port.ContainerPort),
    },
    { sorted: true },
  );
}

function joinHost(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
