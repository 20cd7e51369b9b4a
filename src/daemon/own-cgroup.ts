/**
 * The cgroups that `tools/autostart.sh` put the daemon into, so that it outlives the session that started it. A process cannot remove the cgroup it is in: at a stop
 * with nothing left running, the daemon moves back to the root of each hierarchy and removes them.
 */
import { existsSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';

export function leaveOwnCgroups(globalName: string): void {
  for (const tree of cgroupTrees()) {
    const own = join(tree, globalName, 'daemon');
    if (!existsSync(own)) continue;
    try {
      writeFileSync(join(tree, 'cgroup.procs'), String(process.pid));
      rmdirSync(own);
      rmdirSync(join(tree, globalName));
    } catch {
      // Somebody else is in there (a container, another process that was started by hand): then it stays.
    }
  }
}

/** With cgroup v2 alone there is one tree; else each hierarchy has a directory. */
function cgroupTrees(): readonly string[] {
  return existsSync(join(root, 'cgroup.procs')) ? [root] : readdirSync(root).map((name) => join(root, name));
}
