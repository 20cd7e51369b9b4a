/**
 * `--security-opt hardened` (as `hardened=true` for clients that want a value), or the daemon's `--hardened`: one switch for what a container rarely needs to be
 * allowed (SECURITY.md, section 2). It fills in what the request leaves open and nothing else, so an explicit choice (`--cap-add`, `--pids-limit`,
 * `--userns host`, `no-new-privileges=false`) still holds, and inspect shows what became of it. Pure.
 */
import { invalid } from '../base/errors.ts';
import type { HostConfig } from './config.ts';

/** Which Docker gives and Podman does not. */
const droppedCapabilities = ['CAP_AUDIT_WRITE', 'CAP_MKNOD', 'CAP_NET_RAW'];
const pidsLimit = 2048;
const hardenedOption = 'hardened=true';

export function isHardened(options: readonly string[] | null): boolean {
  return (options ?? []).includes(hardenedOption);
}

export function hardenedHostConfig(asked: HostConfig, byDefault: boolean): HostConfig {
  const options = asked.SecurityOpt ?? [];
  const said = options.findLast((option) => /^hardened([=:]|$)/.test(option));
  const rest = options.filter((option) => !/^hardened([=:]|$)/.test(option));
  const wanted = said === undefined ? byDefault : hardenedValue(said);
  if (!wanted) return said === undefined ? asked : { ...asked, SecurityOpt: rest };
  if (asked.Privileged) {
    throw invalid(
      said === undefined
        ? 'this daemon hardens every container (--hardened), and a privileged one cannot be: add --security-opt hardened=false if it must be'
        : '--privileged and --security-opt hardened exclude each other',
    );
  }
  return {
    ...asked,
    SecurityOpt: [...rest, ...(rest.some((option) => option.startsWith('no-new-privileges')) ? [] : ['no-new-privileges']), hardenedOption],
    CapDrop: withDropped(asked),
    PidsLimit: (asked.PidsLimit ?? 0) === 0 ? pidsLimit : asked.PidsLimit,
    UsernsMode: asked.UsernsMode === '' ? 'auto' : asked.UsernsMode,
  };
}

function hardenedValue(option: string): boolean {
  const value = option.slice('hardened'.length + 1);
  if (value === '' || /^(1|t|T|true|True|TRUE)$/.test(value)) return true;
  if (/^(0|f|F|false|False|FALSE)$/.test(value)) return false;
  throw invalid(`invalid --security-opt 2: "${option}"`);
}

function withDropped({ CapAdd: added, CapDrop: dropped }: HostConfig): string[] | null {
  const named = new Set([...(added ?? []), ...(dropped ?? [])].map((name) => name.toUpperCase().replace(/^CAP_/, '')));
  if (named.has('ALL')) return dropped;
  return [...(dropped ?? []), ...droppedCapabilities.filter((name) => !named.has(name.replace(/^CAP_/, '')))];
}
