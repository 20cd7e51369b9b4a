/**
 * Arguments that the kernel itself cuts to 32 bits, by system call and position.
 *
 * A register holds 64 bits, and a filter sees all of them; the kernel's `int family` sees the low half. A filter that compares the whole register is passed by
 * putting anything in the high half: `socket(0x1_0000_0026, …)` is "not 38" to it and AF_ALG to the kernel (the same mistake with TIOCSTI was CVE-2019-7303 and
 * CVE-2019-10063). libseccomp leaves this to the author of each rule; we compare what the kernel reads.
 */
const intArguments: Readonly<Record<string, readonly number[]>> = {
  accept4: [0, 3],
  arch_prctl: [0],
  bpf: [0, 2],
  // kernel_clone takes lower_32_bits() of them.
  clone: [0],
  close_range: [0, 1, 2],
  dup3: [0, 1, 2],
  epoll_create1: [0],
  eventfd2: [0, 1],
  fcntl: [0, 1],
  futex: [1, 2],
  getsockopt: [0, 1, 2],
  inotify_init1: [0],
  ioctl: [0, 1],
  keyctl: [0],
  kill: [0, 1],
  listen: [0, 1],
  madvise: [2],
  memfd_create: [1],
  mknod: [2],
  mknodat: [0, 3],
  open: [1],
  openat: [0, 2],
  personality: [0],
  pipe2: [1],
  prctl: [0],
  quotactl: [0],
  reboot: [0, 1, 2],
  seccomp: [0, 1],
  setns: [0, 1],
  setpriority: [0, 1, 2],
  setsockopt: [0, 1, 2, 4],
  shutdown: [0, 1],
  socket: [0, 1, 2],
  socketpair: [0, 1, 2],
  syslog: [0, 2],
  tgkill: [0, 1, 2],
  tkill: [0, 1],
  userfaultfd: [0],
};

export function isIntArgument(syscall: string, index: number): boolean {
  return Object.hasOwn(intArguments, syscall) && (intArguments[syscall]?.includes(index) ?? false);
}
