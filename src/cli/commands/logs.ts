import { CliError } from '../cli-error.ts';
import { type Command, oneArgument } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { parseMoment } from '../parse/moment.ts';
import { copyOutput } from '../terminal/stdio-session.ts';

export const logs: Command = {
  usage: '[OPTIONS] CONTAINER',
  flags: defineFlags(`
      --details        Show extra details provided to logs
  -f, --follow         Follow log output
      --since string   Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
  -n, --tail string    Number of lines to show from the end of the logs (default "all")
  -t, --timestamps     Show timestamps
      --until string   Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
`),
  args: oneArgument,
  async run(context) {
    const { flags, client, io } = context;
    const details = await client.containers.inspect(context.args[0] ?? '');
    const { stream, framed } = await client.containers.logs(
      details.Id,
      {
        stdout: true,
        stderr: true,
        follow: flags.bool('follow'),
        timestamps: flags.bool('timestamps'),
        details: flags.bool('details'),
        since: flagMoment(flags, 'since'),
        until: flagMoment(flags, 'until'),
        tail: flags.string('tail'),
      },
      details.Config.Tty,
    );
    await copyOutput(stream, framed, io);
    return 0;
  },
};

function flagMoment(flags: FlagValues, name: string): string {
  try {
    return parseMoment(flags.string(name));
  } catch (error) {
    throw new CliError(`invalid value for "${name}": ${errorMessage(error)}`, 1, { cause: error });
  }
}
