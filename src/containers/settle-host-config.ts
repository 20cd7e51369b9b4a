/**
 * What a create request means on this daemon, before anything of it is checked: `hardened` spelled out, the daemon's defaults filled in, the runtime by its name.
 * What follows sees, and inspect shows, the result.
 */
import { invalid } from '../base/errors.ts';
import type { RuntimeNames } from '../runtime/runtime-names.ts';
import { nativeName } from '../runtime/runtime-names.ts';
import type { HostConfig } from './config.ts';
import type { ContainerContext } from './container-context.ts';
import { hardenedHostConfig, isHardened } from './hardened.ts';
import { askedIds, requireUserNamespaces } from './id-ranges.ts';

export interface SettledHostConfig {
  readonly hostConfig: HostConfig;
  readonly warnings: readonly string[];
}

type Defaults = Pick<ContainerContext, 'host' | 'security' | 'runtimes'>;

export async function settleHostConfig(asked: HostConfig, { host, security, runtimes }: Defaults): Promise<SettledHostConfig> {
  const hardened = hardenedHostConfig(asked, security.hardened);
  const options = withDaemonOptions(hardened.SecurityOpt, security.noNewPrivileges);
  const hostConfig = {
    ...hardened,
    SecurityOpt: options,
    IpcMode: asked.IpcMode || security.ipcMode,
    CgroupnsMode: asked.CgroupnsMode || security.cgroupnsMode,
    Runtime: runtimes.resolve(asked.Runtime),
  };
  if (askedIds(hostConfig.UsernsMode) !== null) checkUserNamespace({ ...hostConfig, Runtime: runtimes.runner(hostConfig.Runtime) }, host);
  return { hostConfig, warnings: await runtimeWarnings(hostConfig, runtimes) };
}

function withDaemonOptions(options: HostConfig['SecurityOpt'], noNewPrivileges: boolean): HostConfig['SecurityOpt'] {
  if (!noNewPrivileges || (options ?? []).some((option) => option.startsWith('no-new-privileges'))) return options;
  return [...(options ?? []), 'no-new-privileges'];
}

function checkUserNamespace({ Privileged: privileged, Runtime: runtime, UsernsMode: mode }: HostConfig, host: Defaults['host']): void {
  requireUserNamespaces(host);
  if (privileged) {
    throw invalid(
      'privileged mode is incompatible with user namespaces. You must run the container in the host namespace when running privileged mode',
    );
  }
  if (runtime === nativeName) return;
  throw invalid(
    `--userns ${mode} needs the runtime ${nativeName}, which maps the owners of layers; the container asks for "${runtime}": use --userns host with it`,
  );
}

async function runtimeWarnings({ Runtime: name, SecurityOpt: options }: HostConfig, runtimes: RuntimeNames): Promise<readonly string[]> {
  const weakness = (await runtimes.version(name))?.weakness ?? null;
  if (weakness === null) return [];
  if (isHardened(options))
    throw invalid(`a hardened container cannot use the runtime "${name}": ${weakness}. Use the runtime ${nativeName}`);
  return [`The runtime "${name}": ${weakness}. The runtime ${nativeName} has these fixes.`];
}
