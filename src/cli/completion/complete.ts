/** What the shells' scripts call: prints the candidates for the last of the given words, one a line. */
import type { Command, CommandContext } from '../command.ts';
import type { FlagSpecs } from '../flags/flag-spec.ts';
import { candidates, type NameKind } from './candidates.ts';

export function completeCommand(globalFlags: FlagSpecs): Command {
  return {
    usage: '-- [WORD...]',
    flags: [],
    args: { min: 0, max: Number.POSITIVE_INFINITY },
    interspersed: false,
    async run(context) {
      const found = await candidates(context.args, globalFlags, (kind) => namesOf(context, kind));
      context.print(found.map((candidate) => `${candidate}\n`).join(''));
      return 0;
    },
  };
}

/** Nothing where no daemon answers: a completion complains about nothing. */
async function namesOf(context: CommandContext, kind: NameKind): Promise<readonly string[]> {
  try {
    return await askNames(context, kind);
  } catch {
    return [];
  }
}

async function askNames({ client }: CommandContext, kind: NameKind): Promise<readonly string[]> {
  const containers = async (all: boolean): Promise<string[]> =>
    (await client.containers.list({ all })).flatMap(({ Names }) => (Names ?? []).map((name) => name.replace(/^\//, '')));
  const images = async (): Promise<string[]> =>
    (await client.images.list({})).flatMap(({ RepoTags }) =>
      (RepoTags ?? []).flatMap((tag) => [tag, ...(tag.endsWith(':latest') ? [tag.slice(0, -7)] : [])]),
    );
  const networks = async (): Promise<string[]> => (await client.networks.list({})).map(({ Name }) => Name);
  const volumes = async (): Promise<string[]> => (await client.volumes.list({})).volumes.map(({ Name }) => Name);
  const devices = async (): Promise<string[]> => (await client.devices.list()).Devices.map(({ Name }) => Name);
  switch (kind) {
    case 'container':
      return await containers(true);
    case 'running':
      return await containers(false);
    case 'image':
      return await images();
    case 'network':
      return await networks();
    case 'volume':
      return await volumes();
    case 'device':
      return await devices();
    case 'any':
      return (await Promise.all([containers(true), images(), networks(), volumes()])).flat();
  }
}
