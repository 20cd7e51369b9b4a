/** `update`: limits and restart policies, and the published ports of running containers, which Docker cannot change at all. */

import { parseByteSize } from '../../base/byte-size.ts';
import type { PortBindings } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import { type Command, someArguments } from '../command.ts';
import { eachName } from '../container/each-name.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { parseByteSizeOrUnlimited, parseCpus } from '../parse/byte-size.ts';
import { planPorts } from '../parse/port-option.ts';
import { parseRestartPolicy } from '../parse/restart-policy.ts';

/** Docker's own flags: limits and the restart policy. */
const limitFlags = defineFlags(`
      --blkio-weight uint16        Block IO (relative weight), between 10 and 1000, or 0 to disable
      --cpu-period int             Limit CPU CFS (Completely Fair Scheduler) period
      --cpu-quota int              Limit CPU CFS (Completely Fair Scheduler) quota
      --cpu-rt-period int          Limit the CPU real-time period in microseconds
      --cpu-rt-runtime int         Limit the CPU real-time runtime in microseconds
  -c, --cpu-shares int             CPU shares (relative weight)
      --cpus decimal               Number of CPUs
      --cpuset-cpus string         CPUs in which to allow execution (0-3, 0,1)
      --cpuset-mems string         MEMs in which to allow execution (0-3, 0,1)
  -m, --memory bytes               Memory limit
      --memory-reservation bytes   Memory soft limit
      --memory-swap bytes          Swap limit equal to memory plus swap: -1 to enable unlimited swap
      --pids-limit int             Tune container pids limit (set -1 for unlimited)
      --restart string             Restart policy to apply when a container exits
`);

export const containerUpdate: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: [
    ...defineFlags(`
      --publish-add list           Publish one more port of a running container, in any spelling of run --publish (beyond Docker)
      --publish-rm list            Take a published port back: 80, 53/udp, or one binding of it, 127.0.0.1:8080:80 (beyond Docker)
`),
    ...limitFlags,
  ],
  args: someArguments,
  async run(context) {
    const { flags, client } = context;
    const ports = portChange(flags);
    const limits = limitFlags.some(({ name }) => flags.has(name)) ? limitChange(flags) : null;
    if (ports === null && limits === null) throw new CliError('you must provide one or more flags when using this command');
    const warnings: string[] = [];
    const status = await eachName(context, context.args, async (name) => {
      if (limits !== null) warnings.push(...(await client.containers.update(name, limits)));
      if (ports !== null) await client.containers.changePorts(name, ports);
      return name;
    });
    for (const warning of warnings) context.printError(`${warning}\n`);
    return status;
  },
};

/** Zero and the empty text leave a limit as it is. */
function limitChange(flags: FlagValues): object {
  return {
    BlkioWeight: flags.int('blkio-weight'),
    CpuPeriod: flags.int('cpu-period'),
    CpuQuota: flags.int('cpu-quota'),
    CpuRealtimePeriod: flags.int('cpu-rt-period'),
    CpuRealtimeRuntime: flags.int('cpu-rt-runtime'),
    CpuShares: flags.int('cpu-shares'),
    NanoCpus: flags.parsed('cpus', parseCpus) ?? 0,
    CpusetCpus: flags.string('cpuset-cpus'),
    CpusetMems: flags.string('cpuset-mems'),
    Memory: flags.parsed('memory', parseByteSize) ?? 0,
    MemoryReservation: flags.parsed('memory-reservation', parseByteSize) ?? 0,
    MemorySwap: flags.parsed('memory-swap', parseByteSizeOrUnlimited) ?? 0,
    ...(flags.has('pids-limit') ? { PidsLimit: flags.int('pids-limit') } : {}),
    ...(flags.has('restart') ? { RestartPolicy: restartPolicy(flags.string('restart')) } : {}),
  };
}

function restartPolicy(text: string): ReturnType<typeof parseRestartPolicy> {
  try {
    return parseRestartPolicy(text);
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error), 1, { cause: error });
  }
}

/** Null: none was asked for. */
function portChange(flags: FlagValues): { readonly add: PortBindings; readonly remove: PortBindings } | null {
  const add = planned('publish-add', flags);
  const remove = planned('publish-rm', flags);
  if (Object.keys(add).length === 0 && Object.keys(remove).length === 0) return null;
  // A port alone means all that is published of it.
  const meant = Object.entries(remove).map(([port, bindings]) => [port, bindings.every(saysWhere) ? bindings : []] as const);
  return { add, remove: Object.fromEntries(meant) };
}

function saysWhere({ HostIp, HostPort }: PortBindings[string][number]): boolean {
  return HostIp !== '' || HostPort !== '';
}

function planned(flag: string, flags: FlagValues): PortBindings {
  try {
    return planPorts(flags.list(flag), []).bindings;
  } catch (error) {
    throw new CliError(`--${flag}: ${error instanceof Error ? error.message : String(error)}`, 1, { cause: error });
  }
}
