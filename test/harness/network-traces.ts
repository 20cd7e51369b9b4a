/** What networks can leave on a machine: interfaces with our mark, nft tables, and network namespaces that some process still holds. */
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { listOrEmpty, readOrEmpty } from './tolerant-read.ts';

/** Interfaces whose alias begins with `mark`: `gantry`, or the global name of one daemon. */
export function markedInterfaces(mark: string): readonly string[] {
  return listOrEmpty('/sys/class/net').filter((name) => readOrEmpty(`/sys/class/net/${name}/ifalias`).startsWith(mark));
}

/** As `inet gantry-1234`; empty where nft is missing: nobody can make one there but the daemon itself. */
export function nftTables(mark: string): readonly string[] {
  const { stdout } = spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' });
  const tables = (stdout ?? '').split('\n').map((line) => line.replace(/^table /, ''));
  return tables.filter((table) => table.split(' ')[1]?.startsWith(mark) === true);
}

/** `net:[4026531840]`, of every process and of every descriptor that holds one. */
export function networkNamespaces(): readonly string[] {
  const found = new Set<string>();
  for (const pid of listOrEmpty('/proc').filter((name) => /^\d+$/.test(name))) {
    const links = [`/proc/${pid}/ns/net`, ...listOrEmpty(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)];
    for (const link of links) {
      const target = targetOf(link);
      if (target.startsWith('net:[')) found.add(target);
    }
  }
  return [...found].sort();
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
