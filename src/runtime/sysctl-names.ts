/** Names of kernel parameters: which of them a container may have of its own, and where they lie below /proc/sys. Pure. */
import { invalid } from '../base/errors.ts';
import type { NamespaceType } from '../oci/runtime-spec.ts';

/** `net.ipv4.ip_forward`, or with slashes when a part holds a dot (`net/ipv4/conf/eth0.1/forwarding`), as sysctl(8) reads them. */
export function sysctlPath(name: string): string {
  const slash = name.indexOf('/');
  const dot = name.indexOf('.');
  const slashed = slash !== -1 && (dot === -1 || slash < dot);
  const parts = slashed ? name.split('/') : name.split('.').map((part) => part.replaceAll('/', '.'));
  // A part that climbs or vanishes would write a file that nobody named.
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0')))
    throw invalid(`invalid sysctl name: "${name}"`);
  return parts.join('/');
}

const ipcNames: ReadonlySet<string> = new Set([
  'kernel/msgmax',
  'kernel/msgmnb',
  'kernel/msgmni',
  'kernel/sem',
  'kernel/shmall',
  'kernel/shmmax',
  'kernel/shmmni',
  'kernel/shm_rmid_forced',
]);

/** The namespace that a parameter belongs to; null for one of the whole host. */
export function sysctlNamespace(name: string): NamespaceType | null {
  const path = sysctlPath(name);
  if (path.startsWith('net/')) return 'network';
  if (ipcNames.has(path) || path.startsWith('fs/mqueue/')) return 'ipc';
  return path === 'kernel/domainname' || path === 'kernel/hostname' ? 'uts' : null;
}
