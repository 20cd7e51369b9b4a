/**
 * Two "hosts" as network namespaces on one wire: `host`, where the engine runs, and `lan`, another machine that can reach it.
 *
 *   lan 198.18.7.2 fd18:7::2 ──veth── 198.18.7.1 fd18:7::1 host (the daemon and its bridges)
 *
 * The machine's own namespace is never touched; both namespaces and all that is in them go with `dispose`.
 */
import { randomBytes } from 'node:crypto';
import { type CommandOptions, type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, type GantryOptions, startGantry } from '../harness/gantry.ts';

export const hostAddress = { v4: '198.18.7.1', v6: 'fd18:7::1' } as const;
export const lanAddress = { v4: '198.18.7.2', v6: 'fd18:7::2' } as const;

export interface TwoHosts {
  readonly daemon: GantryDaemon;
  /** Name below /run/netns, for long-running programs. */
  readonly lanNamespace: string;
  onHost(argv: readonly [string, ...string[]], options?: CommandOptions): Promise<CommandResult>;
  onLan(argv: readonly [string, ...string[]], options?: CommandOptions): Promise<CommandResult>;
  /** The docker CLI against the daemon; throws when it fails. */
  docker(...args: readonly string[]): Promise<string>;
  dispose(): Promise<void>;
}

export async function startTwoHosts(options: GantryOptions = {}): Promise<TwoHosts> {
  const suffix = randomBytes(3).toString('hex');
  const [host, lan] = [`gh-${suffix}`, `gl-${suffix}`];
  await must(`set -e
    ip netns add ${host}; ip netns add ${lan}
    ip -n ${host} link add wire type veth peer name wire netns ${lan}
    for n in ${host} ${lan}; do ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv6.conf.wire.accept_dad=0; ip -n $n link set wire up; done
    ip -n ${host} addr add ${hostAddress.v4}/24 dev wire; ip -n ${host} addr add ${hostAddress.v6}/64 dev wire nodad
    ip -n ${lan} addr add ${lanAddress.v4}/24 dev wire; ip -n ${lan} addr add ${lanAddress.v6}/64 dev wire nodad
    ip -n ${host} route add default via ${lanAddress.v4}; ip -n ${host} -6 route add default via ${lanAddress.v6}`);
  const inside = (namespace: string) => (argv: readonly [string, ...string[]], commandOptions?: CommandOptions) =>
    runCommand(['nsenter', `--net=/run/netns/${namespace}`, ...argv], commandOptions);
  const removeNamespaces = () => shell(`ip netns del ${host}; ip netns del ${lan}`);
  try {
    const daemon = await startGantry({ ...options, wrapper: ['nsenter', `--net=/run/netns/${host}`] });
    return {
      daemon,
      lanNamespace: lan,
      onHost: inside(host),
      onLan: inside(lan),
      docker: (...args) => docker(daemon.host, args),
      dispose: async () => {
        await daemon.dispose();
        await removeNamespaces();
      },
    };
  } catch (error) {
    await removeNamespaces();
    throw error;
  }
}

async function docker(host: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(['docker', '-H', host, ...args], { timeoutMs: 120_000 });
  if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

async function must(script: string): Promise<void> {
  const { status, stderr } = await shell(script);
  if (status !== 0) throw new Error(stderr);
}
