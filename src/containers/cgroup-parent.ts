/**
 * `--cgroup-parent`: below which cgroup a container's own is made, of the container or of the daemon. Pure.
 *
 *   /foo/bar   below the root of every hierarchy
 *   foo/bar    below the daemon's own cgroup
 *
 * A parent below the root stays after its containers: somebody may have limited it. One below the daemon's own goes with the last of them.
 */
import { invalid } from '../base/errors.ts';

/** The launcher and its monitors live there, beside the containers. */
const ownNames: ReadonlySet<string> = new Set(['launcher']);

/** As it is stored: without doubled and trailing slashes. */
export function checkedCgroupParent(given: string): string {
  const isAbsolute = given.startsWith('/');
  const parts = given.split('/').filter((part) => part !== '');
  if (parts.length === 0) return isAbsolute ? '/' : '';
  const wrong = parts.find((part) => part === '.' || part === '..' || /[\0\n]/.test(part));
  if (wrong !== undefined) {
    throw invalid(
      `invalid cgroup parent ${JSON.stringify(given)}: give plain names, such as /group/containers, not ${JSON.stringify(wrong)}`,
    );
  }
  if (!isAbsolute && parts.some((part) => part.endsWith('.slice'))) {
    throw invalid(
      `invalid cgroup parent ${JSON.stringify(given)}: slices belong to systemd's cgroup driver, and Gantry's is cgroupfs. Give a path, such as /${given}`,
    );
  }
  if (!isAbsolute && ownNames.has(parts[0] ?? '')) {
    throw invalid(`invalid cgroup parent ${JSON.stringify(given)}: this cgroup is the daemon's own. Choose another name`);
  }
  return (isAbsolute ? '/' : '') + parts.join('/');
}

/** Below each controller's mount. `own` is the daemon's cgroup, `/gantry`. */
export function cgroupPathBelow(own: string, parent: string, id: string): string {
  if (parent === '') return `${own}/${id}`;
  if (parent === '/') return `/${id}`;
  return parent.startsWith('/') ? `${parent}/${id}` : `${own}/${parent}/${id}`;
}
