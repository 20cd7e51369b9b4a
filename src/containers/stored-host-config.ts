/** The host configuration as it is kept and shown: what was asked, with what Docker fills in. */
import { checkedCgroupParent } from './cgroup-parent.ts';
import type { HostConfig } from './config.ts';
import type { HostFacts } from './host-facts.ts';
import { parseSecurityOptions } from './security-options.ts';
import { maskedPaths, readonlyPaths } from './system-paths.ts';

const defaultShmBytes = 64 * 1024 * 1024;

export function storedHostConfig(asked: HostConfig, host: HostFacts): HostConfig {
  return {
    ...asked,
    NetworkMode: asked.NetworkMode || 'default',
    RestartPolicy: { ...asked.RestartPolicy, Name: asked.RestartPolicy.Name || 'no' },
    IpcMode: asked.IpcMode || 'private',
    CgroupnsMode: asked.CgroupnsMode || (host.cgroupVersion === 2 ? 'private' : 'host'),
    ShmSize: asked.ShmSize || defaultShmBytes,
    CgroupParent: checkedCgroupParent(asked.CgroupParent),
    MemorySwap: asked.Memory > 0 && asked.MemorySwap === 0 ? 2 * asked.Memory : asked.MemorySwap,
    MemorySwappiness: asked.MemorySwappiness === -1 ? null : asked.MemorySwappiness,
    OomKillDisable: asked.OomKillDisable ?? (host.cgroupVersion === 2 ? null : false),
    PidsLimit: asked.PidsLimit === 0 ? null : asked.PidsLimit,
    ...systemPaths(asked, host),
  };
}

function systemPaths(asked: HostConfig, host: HostFacts): Pick<HostConfig, 'MaskedPaths' | 'ReadonlyPaths'> {
  if (asked.Privileged) return { MaskedPaths: null, ReadonlyPaths: null };
  if (parseSecurityOptions(asked.SecurityOpt ?? []).systemPathsUnconfined) return { MaskedPaths: [], ReadonlyPaths: [] };
  return { MaskedPaths: asked.MaskedPaths ?? maskedPaths(host), ReadonlyPaths: asked.ReadonlyPaths ?? [...readonlyPaths] };
}
