/**
 * `--use-api-socket`: the container gets the daemon's socket at Docker's usual place, and what this client may show to registries as a
 * `config.json` of its own, written into the container's layer before it starts. It then speaks to the daemon with our rights: all of them.
 */
import { dirname } from 'node:path';
import { writeTar } from '../../archive/tar-writer.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { credentialStore } from '../config/credentials.ts';

const SOCKET_INSIDE = '/var/run/docker.sock';
const CONFIG_INSIDE = '/run/secrets/docker/config.json';

/** The body of a create request with the socket mounted, and what to write into the container afterwards (null: nothing). */
export interface ApiSocketPlan {
  readonly body: Record<string, unknown>;
  readonly config: string | null;
}

export async function planApiSocket(context: CommandContext, body: Record<string, unknown>): Promise<ApiSocketPlan> {
  const { address } = context;
  if (!address.startsWith('unix://'))
    throw new CliError(`--use-api-socket needs a daemon on a unix socket of its machine, not ${address}`, 125);
  const hostConfig = body.HostConfig as Record<string, unknown>;
  const mount = { Type: 'bind', Source: address.slice('unix://'.length), Target: SOCKET_INSIDE };
  const mounted = { ...body, HostConfig: { ...hostConfig, Mounts: [...((hostConfig.Mounts as unknown[] | undefined) ?? []), mount] } };
  const env = (body.Env as readonly string[] | null) ?? [];
  const auths = env.some((entry) => entry.startsWith('DOCKER_CONFIG=')) ? {} : await knownCredentials(context);
  if (Object.keys(auths).length === 0) return { body: mounted, config: null };
  return {
    body: { ...mounted, Env: [...env, `DOCKER_CONFIG=${dirname(CONFIG_INSIDE)}`] },
    config: `${JSON.stringify({ auths }, null, '\t')}\n`,
  };
}

export async function writeApiSocketConfig({ client }: CommandContext, id: string, config: string): Promise<void> {
  const entry = { type: 'file', path: CONFIG_INSIDE.slice(1), mode: 0o600 } as const;
  await client.containers.writePath(id, '/', writeTar([{ entry, content: Buffer.from(config) }]), false);
}

async function knownCredentials(context: CommandContext): Promise<Record<string, unknown>> {
  const auths: Record<string, unknown> = Object.create(null);
  for (const [server, { username, password, identitytoken, registrytoken }] of await credentialStore(context).all()) {
    auths[server] = {
      ...(username === undefined ? {} : { auth: Buffer.from(`${username}:${password ?? ''}`).toString('base64') }),
      ...(identitytoken === undefined ? {} : { identitytoken }),
      ...(registrytoken === undefined ? {} : { registrytoken }),
    };
  }
  return auths;
}
