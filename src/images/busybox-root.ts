/** The root file system of the embedded busybox image: one static program, a name for each of its applets, and what programs expect to find. */
import { execFile } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { promisify } from 'node:util';
import type { WritableEntry } from '../archive/tar-writer.ts';
import { invalid } from '../base/errors.ts';

const directories: readonly (readonly [path: string, mode: number])[] = [
  ['bin', 0o755],
  ['dev', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['lib', 0o755],
  ['proc', 0o755],
  ['root', 0o700],
  ['run', 0o755],
  ['sbin', 0o755],
  ['sys', 0o755],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['usr/bin', 0o755],
  ['usr/lib', 0o755],
  ['usr/sbin', 0o755],
  ['var', 0o755],
  ['var/spool', 0o755],
  ['var/spool/mail', 0o755],
  ['var/www', 0o755],
];

const accounts: readonly (readonly [name: string, id: number, home: string, shell: string])[] = [
  ['root', 0, '/root', '/bin/sh'],
  ['daemon', 1, '/usr/sbin', '/bin/false'],
  ['bin', 2, '/bin', '/bin/false'],
  ['sys', 3, '/dev', '/bin/false'],
  ['mail', 8, '/var/spool/mail', '/bin/false'],
  ['www-data', 33, '/var/www', '/bin/false'],
  ['operator', 37, '/var', '/bin/false'],
  ['nobody', 65534, '/home', '/bin/false'],
];

const groups: readonly (readonly [name: string, id: number])[] = [
  ...accounts.map(([name, id]) => [name === 'nobody' ? 'nogroup' : name, id] as const),
  ['wheel', 10],
  ['users', 100],
];

/** Entries in the order of their names, all owned by root, of 1970: the same program gives the same tar. */
export async function busyboxRoot(program: string): Promise<readonly WritableEntry[]> {
  const applets = await appletPaths(program);
  const files: readonly WritableEntry[] = [
    { entry: { type: 'file', path: 'bin/busybox', mode: 0o755 }, content: await readFile(program) },
    textFile(
      'etc/passwd',
      0o644,
      accounts.map(([name, id, home, shell]) => `${name}:x:${id}:${id}:${name}:${home}:${shell}`),
    ),
    textFile(
      'etc/group',
      0o644,
      groups.map(([name, id]) => `${name}:x:${id}:`),
    ),
    textFile(
      'etc/shadow',
      0o640,
      accounts.map(([name]) => `${name}:*:10933:0:99999:7:::`),
    ),
  ];
  const links = applets.map((path): WritableEntry => ({ entry: { type: 'hard-link', path, linkTarget: 'bin/busybox', mode: 0o755 } }));
  return [...directories.map(([path, mode]): WritableEntry => ({ entry: { type: 'directory', path, mode } })), ...files, ...links];
}

/** A program that asks for an interpreter (the dynamic loader) could not start in an image that holds nothing else. */
export async function isStaticProgram(path: string): Promise<boolean> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
  const head = buffer.subarray(0, bytesRead);
  const isElf64 = head.length >= 64 && head.readUInt32BE(0) === 0x7f454c46 && head[4] === 2;
  if (!isElf64) return false;
  // e_phoff, e_phentsize, e_phnum; p_type 3 is PT_INTERP.
  const [offset, size, count] = [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)];
  for (let index = 0; index < count; index++) {
    const at = offset + index * size;
    if (at + 4 > head.length) return false;
    if (head.readUInt32LE(at) === 3) return false;
  }
  return true;
}

/** Asked once, when the image is made: the program knows its applets and where they belong. */
async function appletPaths(program: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(program, ['--list-full'], { env: {}, maxBuffer: 1 << 20, timeout: 10_000 });
  const known = new Set(directories.map(([path]) => path));
  const paths = stdout
    .split('\n')
    .filter((path) => known.has(posix.dirname(path)) && /^[a-z/]+\/[\w[.+-]+$/.test(path) && path !== 'bin/busybox');
  if (!paths.includes('bin/sh')) throw invalid(`${program} is no busybox with a shell: it lists no bin/sh`);
  return [...new Set(paths)].sort();
}

function textFile(path: string, mode: number, lines: readonly string[]): WritableEntry {
  return { entry: { type: 'file', path, mode }, content: Buffer.from(`${lines.join('\n')}\n`) };
}
