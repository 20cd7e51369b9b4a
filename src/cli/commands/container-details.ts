/** `port` and `diff`: what one container has inside. */
import { CliError } from '../cli-error.ts';
import { type Command, oneArgument } from '../command.ts';
import { compareNaturally } from '../views/natural-order.ts';

export const port: Command = {
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  flags: [],
  args: { min: 1, max: 2 },
  async run(context) {
    const [name = '', wanted] = context.args;
    const ports = (await context.client.containers.inspect(name)).NetworkSettings?.Ports ?? {};
    const key = wanted === undefined ? undefined : portKey(wanted);
    const joined = (binding: { readonly HostIp: string; readonly HostPort: string }): string =>
      binding.HostIp.includes(':') ? `[${binding.HostIp}]:${binding.HostPort}` : `${binding.HostIp}:${binding.HostPort}`;
    if (key !== undefined) {
      const bindings = ports[key];
      if (!bindings || bindings.length === 0) throw new CliError(`Error: No public port '${wanted}' published for ${name}`);
      context.print(bindings.map((binding) => `${joined(binding)}\n`).join(''));
      return 0;
    }
    const lines = Object.entries(ports).flatMap(([from, bindings]) => (bindings ?? []).map((binding) => `${from} -> ${joined(binding)}\n`));
    context.print(lines.sort(compareNaturally).join(''));
    return 0;
  },
};

/** `80`, `80/udp`. */
function portKey(text: string): string {
  const [number = '', protocol = 'tcp'] = text.split('/', 2);
  if (!/^\d+$/.test(number)) throw new CliError(`Error: invalid port (${number}): strconv.ParseUint: parsing "${number}": invalid syntax`);
  if (Number(number) > 65_535)
    throw new CliError(`Error: invalid port (${number}): strconv.ParseUint: parsing "${number}": value out of range`);
  return `${number}/${protocol.toLowerCase()}`;
}

export const diff: Command = {
  usage: 'CONTAINER',
  flags: [],
  args: oneArgument,
  async run(context) {
    const changes = await context.client.containers.changes(context.args[0] ?? '');
    context.print(changes.map((change) => `${['C', 'A', 'D'][change.Kind] ?? '?'} ${change.Path}\n`).join(''));
    return 0;
  },
};
