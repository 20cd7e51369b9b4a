/** Which file systems of a container show the kernel, and hold no files that could be copied. */
import { statfsSync } from 'node:fs';

/** proc, sysfs, cgroup, cgroup2, devpts, mqueue, bpf, debugfs, tracefs, securityfs: `f_type` of statfs(2). */
const kernelFileSystems: ReadonlySet<number> = new Set([
  0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x19800202, 0xcafe4a11, 0x64626720, 0x74726163, 0x73636673,
]);

export function showsKernel(path: string | Buffer): boolean {
  try {
    return kernelFileSystems.has(statfsSync(path).type);
  } catch {
    // Gone by now.
    return false;
  }
}
