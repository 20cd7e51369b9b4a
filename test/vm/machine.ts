/**
 * A virtual machine with another kernel than ours, by QEMU's interpreter (KVM hangs inside the machines we are tested on): one processor, no network, its
 * console as text.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeDisk, makeInitialFiles } from './guest-disk.ts';

const cache = fileURLToPath(new URL('../../.cache/vm', import.meta.url));

export interface MachineParts {
  readonly qemu: string;
  readonly kernel: string;
  readonly modules: string;
  readonly appArmorParser: string;
}

/** Text: what is missing. */
export function findMachineParts(): MachineParts | string {
  const qemu = ['/usr/bin/qemu-system-x86_64', join(cache, 'qemu/usr/bin/qemu-system-x86_64')].find(existsSync);
  const [kernel] = globSync('kernel/boot/vmlinuz-*', { cwd: cache });
  const [modules] = globSync('kernel/lib/modules/*', { cwd: cache });
  const appArmorParser = join(cache, 'apparmor/sbin/apparmor_parser');
  if (qemu === undefined || kernel === undefined || modules === undefined || !existsSync(appArmorParser)) {
    return 'needs qemu-system-x86_64, linux-image-cloud-amd64 and apparmor (sh test/vm/fetch.sh gets them into .cache/vm)';
  }
  return { qemu, kernel: join(cache, kernel), modules: join(cache, modules), appArmorParser };
}

export interface Ended {
  readonly console: string;
  readonly seconds: number;
  /** Null: it was killed at the hang limit. */
  readonly status: number | null;
}

/** Boots, waits until the guest powers off, and takes everything down. */
export async function runMachine(parts: MachineParts, limitMs: number): Promise<Ended> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-vm-'));
  try {
    await makeDisk(join(directory, 'root'), join(directory, 'disk'), parts);
    makeInitialFiles(parts.modules, join(directory, 'initial'));
    return await boot(parts, directory, limitMs);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function boot({ qemu, kernel }: MachineParts, directory: string, limitMs: number): Promise<Ended> {
  const shared = join(cache, 'qemu');
  const own = qemu.startsWith(shared);
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(shared, path)).join(':');
  const argv = [
    ...(own ? ['-L', join(shared, 'usr/share/seabios'), '-L', join(shared, 'usr/share/qemu')] : []),
    ...['-M', 'microvm,rtc=on', '-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', '1024'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...[
      '-kernel',
      kernel,
      '-initrd',
      join(directory, 'initial'),
      '-append',
      `console=ttyS0 quiet panic=-1 mitigations=off ${clockOptions()} checks="${process.env.GANTRY_VM_CHECKS ?? ''}"`,
    ],
    ...['-drive', `id=disk,file=${join(directory, 'disk')},format=raw,if=none,cache=unsafe`, '-device', 'virtio-blk-device,drive=disk'],
  ];
  const started = performance.now();
  const child = spawn(qemu, argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...(own ? { LD_LIBRARY_PATH: libraries } : {}) },
  });
  // Others share the processors.
  if (child.pid !== undefined) setPriority(child.pid, 10);
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (piece: string) => {
      text += piece;
      if (process.env.GANTRY_VM_CONSOLE !== undefined) process.stderr.write(piece);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      clearTimeout(limit);
      resolve({ console: text.replaceAll('\r', ''), seconds: (performance.now() - started) / 1000, status });
    });
  });
}

/**
 * The guest sees our time stamp counter, and the machine has no other clock to measure it by but one that fails when processors are busy; without it no timer
 * ever fires. So its speed is told. Where /proc/cpuinfo does not know, the guest measures.
 */
function clockOptions(): string {
  const megahertz = Number(/^cpu MHz\s*: ([\d.]+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 0);
  return megahertz === 0 ? '' : `tsc_early_khz=${Math.round(megahertz * 1000)} lpj=4000000`;
}
