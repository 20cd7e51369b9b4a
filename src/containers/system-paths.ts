/** Paths of /proc and /sys that a container must not read or write: the lists of the newest moby (SECURITY.md section 2). */
import type { HostFacts } from './host-facts.ts';

const alwaysMasked = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
] as const;

/** Interrupt counts, energy and thermal events tell what neighbours do (CVE-2020-8694, keystroke timing by /proc/interrupts). */
export function maskedPaths(host: Pick<HostFacts, 'thermalThrottlePaths'>): string[] {
  return [...alwaysMasked, ...host.thermalThrottlePaths];
}

export const readonlyPaths: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
