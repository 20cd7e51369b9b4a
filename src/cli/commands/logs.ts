import { type Command, oneArgument } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
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
        since: parseMoment(flags.string('since')),
        until: parseMoment(flags.string('until')),
        tail: flags.string('tail'),
      },
      details.Config.Tty,
    );
    await copyOutput(stream, framed, io);
    return 0;
  },
};
