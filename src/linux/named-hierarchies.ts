/**
 * cgroup v1 hierarchies without a controller (`name=systemd`). We put nothing there; OCI runtimes do, at the same path as in the others, and leave the parent
 * directory behind: it is removed with ours.
 */
import { readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

export async function removeNamedCgroups(path: string): Promise<void> {
  for (const mountPoint of await namedHierarchies()) await removeTree(join(mountPoint, path));
}

/** `36 31 0:32 ROOT MOUNTPOINT options [optional fields] - cgroup SOURCE rw,name=systemd` */
async function namedHierarchies(): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.filter((line) => / - cgroup \S+ (\S*,)?name=/.test(line)).map((line) => line.split(' ')[4] ?? '');
}

/** What is busy or gone stays as it is. */
async function removeTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(directory, entry.name));
  await rmdir(directory).catch(() => {});
}
