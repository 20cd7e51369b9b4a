/** Looks system calls up by name, per ABI. An ABI is one way a process can enter the kernel; a machine accepts several. */
import { syscallNumbers } from './syscall-numbers.ts';

export type Abi = keyof typeof syscallNumbers;
export type Architecture = 'amd64' | 'arm64';

/** `AUDIT_ARCH_*` of linux/audit.h, as the kernel puts it in `seccomp_data.arch`. x32 has no value of its own. */
export const auditArchitecture: Readonly<Record<Abi, number>> = {
  x86_64: 0xc000003e,
  x32: 0xc000003e,
  x86: 0x40000003,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};

/** Set in every system call number of an x32 process, and how the kernel tells it from x86_64. */
export const x32Bit = 0x40000000;

/** The kernel's private ARM calls start here, far above the ordinary ones. */
export const armPrivateBase = 0x0f0000;

/** The ABIs a host of the architecture can run, the native one first. */
export const abisOf: Readonly<Record<Architecture, readonly Abi[]>> = {
  amd64: ['x86_64', 'x86', 'x32'],
  arm64: ['aarch64', 'arm'],
};

/** Names that libseccomp gives to architectures. `null`: valid, but no process of a host we support can have it. */
export const abiByScmpName: ReadonlyMap<string, Abi | null> = new Map<string, Abi | null>([
  ['SCMP_ARCH_X86_64', 'x86_64'],
  ['SCMP_ARCH_X86', 'x86'],
  ['SCMP_ARCH_X32', 'x32'],
  ['SCMP_ARCH_AARCH64', 'aarch64'],
  ['SCMP_ARCH_ARM', 'arm'],
  ...[
    ...['LOONGARCH64', 'M68K', 'MIPS', 'MIPS64', 'MIPS64N32', 'MIPSEL', 'MIPSEL64', 'MIPSEL64N32', 'PARISC', 'PARISC64'],
    ...['PPC', 'PPC64', 'PPC64LE', 'RISCV64', 'S390', 'S390X', 'SH', 'SHEB'],
  ].map((name): [string, null] => [`SCMP_ARCH_${name}`, null]),
]);

const tables = new Map<Abi, ReadonlyMap<string, number>>();

/** Name to number (x32 without its bit). */
export function syscallTable(abi: Abi): ReadonlyMap<string, number> {
  const known = tables.get(abi);
  if (known !== undefined) return known;
  const table = new Map<string, number>();
  for (const word of syscallNumbers[abi].trim().split(/\s+/)) {
    const equals = word.indexOf('=');
    table.set(word.slice(0, equals), Number(word.slice(equals + 1)));
  }
  tables.set(abi, table);
  return table;
}

/** 32-bit x86 has one call for all of these besides (or instead of) their own; the first argument chooses. See net/socket.c. */
export const socketcallNumbers: Readonly<Record<string, number>> = {
  socket: 1,
  bind: 2,
  connect: 3,
  listen: 4,
  accept: 5,
  getsockname: 6,
  getpeername: 7,
  socketpair: 8,
  send: 9,
  recv: 10,
  sendto: 11,
  recvfrom: 12,
  shutdown: 13,
  setsockopt: 14,
  getsockopt: 15,
  sendmsg: 16,
  recvmsg: 17,
  accept4: 18,
  recvmmsg: 19,
  sendmmsg: 20,
};

/** The same for `ipc`, ipc/syscall.c: the low 16 bits of its first argument choose, the others are a version. */
export const ipcNumbers: Readonly<Record<string, number>> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

/** Calls of architectures we do not run on: profiles made for all of them name these, which is no mistake to warn of. */
const foreignNames: ReadonlySet<string> = new Set([
  'swapcontext',
  's390_guarded_storage',
  's390_pci_mmio_read',
  's390_pci_mmio_write',
  's390_runtime_instr',
  's390_sthyi',
  'riscv_flush_icache',
  'riscv_hwprobe',
  'rtas',
  'spu_create',
  'spu_run',
  'switch_endian',
  'subpage_prot',
  'sys_debug_setcontext',
  'multiplexer',
  'sysmips',
  'timerfd',
]);

export function isKnownSyscall(name: string): boolean {
  if (foreignNames.has(name) || Object.hasOwn(socketcallNumbers, name) || Object.hasOwn(ipcNumbers, name)) return true;
  return Object.keys(syscallNumbers).some((abi) => syscallTable(abi as Abi).has(name));
}
