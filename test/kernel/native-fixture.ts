/** A native runtime over a temporary exec root and a busybox root file system, for tests. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { ensureCgroup, removeCgroup } from '../../src/linux/cgroups.ts';
import { removeNamedCgroups } from '../../src/linux/named-hierarchies.ts';
import type { Mount, RuntimeSpec, Seccomp } from '../../src/oci/runtime-spec.ts';
import { NativeRuntime } from '../../src/runtime/native-runtime.ts';
import { type OciProgram, ociCompiler } from '../../src/runtime/oci-compiler.ts';
import type { RuntimeFixture, SpecChanges } from '../../src/runtime/runtime-suite.ts';
import { defaultProfile } from '../../src/runtime/seccomp/default-profile.ts';
import { parseKernelVersion, resolveProfile } from '../../src/runtime/seccomp/resolve-profile.ts';

const root = resolve(import.meta.dirname, '../..');
/** GANTRY_TEST_LAUNCHER: one built with sanitizers. */
export const launcherPath = process.env.GANTRY_TEST_LAUNCHER ?? join(root, 'build/native/gantry-launcher');
/** The runtime that container tests use: `native`, or what GANTRY_TEST_RUNTIME names (`runc`). */
export const testRuntime = process.env.GANTRY_TEST_RUNTIME ?? 'native';
const runcPath = ['/usr/sbin/runc', '/usr/bin/runc', '/usr/local/sbin/runc'].find(existsSync) ?? null;
export const runcProgram: OciProgram | null = runcPath === null ? null : { name: 'runc', path: runcPath, args: [], patienceMs: 60_000 };
export const testPrograms: readonly OciProgram[] = runcProgram === null ? [] : [runcProgram];
const busybox = '/bin/busybox';

export function whyNoNativeRuntime(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(busybox)) return 'needs busybox (apt install busybox-static)';
  const make = spawnSync('make', ['-C', join(root, 'native')], { encoding: 'utf8' });
  return make.status === 0 ? null : `needs a C compiler and make: ${make.stderr.slice(-300)}`;
}

export function monitorOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

export interface NativeFixture extends RuntimeFixture, AsyncDisposable {
  readonly runtime: NativeRuntime;
  readonly directory: string;
}

async function makeRootfs(directory: string): Promise<void> {
  for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev']) await mkdir(join(directory, name), { recursive: true });
  await copyFile(busybox, join(directory, 'bin/busybox'));
  await chmod(join(directory, 'bin/busybox'), 0o755);
  const applets = spawnSync(busybox, ['--list'], { encoding: 'utf8' }).stdout.trim().split('\n');
  for (const applet of applets.filter((name) => name !== 'busybox')) await symlink('busybox', join(directory, 'bin', applet));
  await writeFile(join(directory, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
}

/** `program`: of an OCI runtime that is to make the containers. */
export async function openNativeFixture(program: OciProgram | null = null): Promise<NativeFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'gantry-native-'));
  const rootfs = join(directory, 'rootfs');
  const cgroup = `/gantry-test-${process.pid}-${directory.slice(-6)}`;
  await makeRootfs(rootfs);
  const placement = await ensureCgroup(`${cgroup}/launcher`);
  const execRoot = join(directory, 'run');
  const compile = program === null ? {} : { name: program.name, compile: ociCompiler(program, execRoot) };
  const options = { execRoot, launcherPath, launcherCgroupFiles: placement.joinFiles, ...compile };
  let runtime = new NativeRuntime(options);
  await runtime.boot();
  const launchers = new Set([await runtime.launcher.ensure()]);
  const dispose = async (): Promise<void> => {
    launchers.add(await runtime.launcher.ensure());
    await runtime.close();
    // They leave by themselves now; their cgroup can only go after them.
    const deadline = Date.now() + 5000;
    while ([...launchers].some((pid) => existsSync(`/proc/${pid}`)) && Date.now() < deadline)
      await new Promise((done) => setTimeout(done, 10));
    await removeCgroup(`${cgroup}/launcher`);
    await removeCgroup(cgroup);
    await removeNamedCgroups(cgroup);
    await rm(directory, { recursive: true, force: true });
  };
  return {
    directory,
    get runtime() {
      return runtime;
    },
    rootfs: () => ({ kind: 'directory', path: rootfs }),
    spec: (id, args, changes = {}) => busyboxSpec(`${cgroup}/${id}`, args, changes),
    logPath: (id) => join(directory, `${id}.log`),
    restart: async () => {
      await runtime.close();
      runtime = new NativeRuntime(options);
      await runtime.boot();
      launchers.add(await runtime.launcher.ensure());
      return runtime;
    },
    whyNoMemoryLimit: hasMemoryController() ? null : 'needs a memory cgroup controller',
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

function hasMemoryController(): boolean {
  const { v1, unifiedControllers } = cgroupHost();
  return v1.has('memory') || unifiedControllers.has('memory');
}

function seccompProfile(): Seccomp {
  const kernel = parseKernelVersion(release());
  if (kernel === null) throw new Error(`cannot read the kernel version ${release()}`);
  return resolveProfile(defaultProfile, {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    capabilities: new Set(capabilities),
    kernel,
  });
}

const mounts: readonly Mount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'] },
];
const capabilities = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP', 'CAP_MKNOD'];

export function busyboxSpec(cgroupsPath: string, args: readonly string[], changes: SpecChanges): RuntimeSpec {
  const { terminal = false, cwd = '/', env = ['PATH=/bin'], memoryLimitBytes, consoleSize, hooks } = changes;
  return {
    ociVersion: '1.2.0',
    process: {
      terminal,
      ...(consoleSize === undefined ? {} : { consoleSize }),
      cwd,
      env,
      args,
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: '/' },
    ...(hooks === undefined ? {} : { hooks }),
    hostname: 'busybox',
    mounts,
    linux: {
      namespaces: (['pid', 'network', 'mount', 'ipc', 'uts', 'cgroup'] as const).map((type) => ({ type })),
      cgroupsPath,
      resources: memoryLimitBytes === undefined ? {} : { memory: { limit: memoryLimitBytes, swap: memoryLimitBytes } },
      seccomp: seccompProfile(),
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}
