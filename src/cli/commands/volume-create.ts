import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { keyValueMap } from '../parse/environment.ts';

/** Docker's flags for volumes of a swarm. */
const clusterFlags = [
  'availability',
  'group',
  'limit-bytes',
  'required-bytes',
  'scope',
  'secret',
  'sharing',
  'topology-preferred',
  'topology-required',
  'type',
] as const;

export const volumeCreate: Command = {
  usage: '[OPTIONS] [VOLUME]',
  flags: defineFlags(`
      !--availability string       Cluster volume availability
  -d, --driver string              Specify volume driver name (default "local")
      !--group string              Cluster volume group
      --label list                 Set metadata for a volume
      !--limit-bytes bytes         Maximum size of the cluster volume
  -o, --opt map                    Set driver specific options
      !--required-bytes bytes      Minimum size of the cluster volume
      !--scope string              Cluster volume access scope
      !--secret map                Cluster volume secrets
      !--sharing string            Cluster volume access sharing
      !--topology-preferred list   A topology that the cluster volume would be preferred in
      !--topology-required list    A topology that the cluster volume must be accessible from
      !--type string               Cluster volume access type
`),
  args: { min: 0, max: 1 },
  async run(context) {
    const { client, flags, args } = context;
    const asked = clusterFlags.find((flag) => flags.has(flag));
    if (asked !== undefined)
      throw new CliError(`--${asked} is not supported: it is for cluster volumes, which belong to swarm mode, which Gantry does not have`);
    const labels = keyValueMap(flags.list('label'));
    const options = keyValueMap(flags.list('opt'));
    const { Name } = await client.volumes.create({
      ...(args[0] === undefined ? {} : { Name: args[0] }),
      Driver: flags.string('driver'),
      ...(Object.keys(options).length === 0 ? {} : { DriverOpts: options }),
      ...(Object.keys(labels).length === 0 ? {} : { Labels: labels }),
    });
    context.print(`${Name}\n`);
    return 0;
  },
};
