/** `container inspect`, `image inspect`, `network inspect`, `volume inspect`, and our own `device inspect`. */
import { type Command, type CommandContext, someArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { showObjects } from '../inspect/show-objects.ts';

const formatFlag = '-f, --format string   Format output: json, or a Go template for each object';

function inspectCommand(usage: string, extraFlags: string, fetch: (context: CommandContext, name: string) => Promise<string>): Command {
  return {
    usage,
    flags: defineFlags(`${formatFlag}\n${extraFlags}`),
    args: someArguments,
    run: (context) => showObjects(context, context.args, context.flags.string('format'), (name) => fetch(context, name)),
  };
}

export const containerInspect = inspectCommand(
  '[OPTIONS] CONTAINER [CONTAINER...]',
  '-s, --size   Display total file sizes',
  ({ client, flags }, name) => client.containers.inspectRaw(name, { size: flags.bool('size') }),
);

export const imageInspect = inspectCommand(
  '[OPTIONS] IMAGE [IMAGE...]',
  '--platform string   Inspect a specific platform of the multi-platform image (os[/arch[/variant]])',
  ({ client, flags }, name) => client.images.inspectRaw(name, { platform: flags.string('platform') }),
);

export const networkInspect = inspectCommand(
  '[OPTIONS] NETWORK [NETWORK...]',
  '-v, --verbose   Verbose output for diagnostics',
  ({ client, flags }, name) => client.networks.inspectRaw(name, { verbose: flags.bool('verbose') }),
);

export const volumeInspect = inspectCommand('[OPTIONS] VOLUME [VOLUME...]', '', ({ client }, name) => client.volumes.inspectRaw(name));

export const deviceInspect = inspectCommand('[OPTIONS] DEVICE [DEVICE...]', '', ({ client }, name) => client.devices.inspectRaw(name));
