/** What a path in a container is, in the words of Docker's archive endpoints: mode bits are those of Go. */
import type { BigIntStats } from 'node:fs';
import type { PathStat } from '../containers.ts';

const GO = {
  directory: 2 ** 31,
  symbolicLink: 2 ** 27,
  device: 2 ** 26,
  fifo: 2 ** 25,
  socket: 2 ** 24,
  setuid: 2 ** 23,
  setgid: 2 ** 22,
  characterDevice: 2 ** 21,
  sticky: 2 ** 20,
} as const;

export function pathStat(name: string, stats: BigIntStats, linkTarget: string): PathStat {
  return { name, sizeBytes: Number(stats.size), mode: goMode(stats), modifiedAtNs: String(stats.mtimeNs), linkTarget };
}

function goMode(stats: BigIntStats): number {
  const mode = Number(stats.mode);
  return (mode & 0o777) + special(mode) + kind(stats);
}

function special(mode: number): number {
  return (mode & 0o4000 ? GO.setuid : 0) + (mode & 0o2000 ? GO.setgid : 0) + (mode & 0o1000 ? GO.sticky : 0);
}

function kind(stats: BigIntStats): number {
  if (stats.isDirectory()) return GO.directory;
  if (stats.isSymbolicLink()) return GO.symbolicLink;
  if (stats.isCharacterDevice()) return GO.device + GO.characterDevice;
  if (stats.isBlockDevice()) return GO.device;
  if (stats.isFIFO()) return GO.fifo;
  return stats.isSocket() ? GO.socket : 0;
}
