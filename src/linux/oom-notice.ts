/**
 * Is told when the kernel's OOM killer ends a process of a cgroup.
 *
 *   v1   an eventfd, registered in `cgroup.event_control` for `memory.oom_control`. It is raised before the kill is counted, and when the cgroup is removed
 *   v2   `memory.events`, which poll(2) reports when it changes, until it is read again
 *
 * Both only say "look": what counts is the counter `oom_kill`.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { hasErrnoCode } from '../base/errors.ts';
import { kernelFiles } from './cgroup-files.ts';
import { cgroupHost } from './cgroup-host.ts';
import { placementIn } from './cgroup-placement.ts';
import { readOomKills } from './cgroups.ts';
import { armDescriptor, armFile, makeEventCounter } from './event-poll.ts';

export interface OomNotice {
  /** How many were ended so far. */
  kills(): number;
  /** After each event: the next is reported again. */
  rearm(): void;
  close(): void;
}

/** Null: this host counts no memory, or the cgroup is gone. */
export function openOomNotice(poll: number, token: number, path: string): OomNotice | null {
  const { paths, oomFile } = placementIn(cgroupHost(), path);
  if (oomFile === null) return null;
  try {
    return paths.memory === undefined ? noticeOfV2(poll, token, path, oomFile) : noticeOfV1(poll, token, path, paths.memory);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENODEV')) return null;
    throw error;
  }
}

function noticeOfV1(poll: number, token: number, path: string, directory: string): OomNotice {
  const counter = makeEventCounter();
  try {
    const control = openSync(`${directory}/memory.oom_control`, 'r');
    try {
      kernelFiles.write(`${directory}/cgroup.event_control`, `${counter} ${control}`);
    } finally {
      closeSync(control);
    }
    armDescriptor(poll, counter, token, 'new');
  } catch (error) {
    closeSync(counter);
    throw error;
  }
  const value = Buffer.alloc(8);
  return {
    kills: () => readOomKills(path),
    rearm() {
      ignoreEmpty(() => readSync(counter, value));
      armDescriptor(poll, counter, token, 'again');
    },
    close: () => closeSync(counter),
  };
}

function noticeOfV2(poll: number, token: number, path: string, file: string): OomNotice {
  const descriptor = openSync(file, 'r');
  const text = Buffer.alloc(4096);
  const look = (): unknown => readSync(descriptor, text, 0, text.length, 0);
  try {
    look();
    armFile(poll, descriptor, token, 'new');
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return {
    kills: () => readOomKills(path),
    rearm() {
      look();
      armFile(poll, descriptor, token, 'again');
    },
    close: () => closeSync(descriptor),
  };
}

function ignoreEmpty(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!hasErrnoCode(error, 'EAGAIN')) throw error;
  }
}
