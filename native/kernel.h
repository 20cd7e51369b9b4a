/* What the kernel offers and the headers of musl do not declare. Numbers are the same on every architecture since 5.0. Floor: Linux 5.10. */
#ifndef GANTRY_KERNEL_H
#define GANTRY_KERNEL_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_pidfd_send_signal 424
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_pidfd_open 434
#define NR_clone3 435
#define NR_close_range 436
#define NR_openat2 437
#define NR_pidfd_getfd 438
#define NR_mount_setattr 442

#define KERNEL_CLONE_PIDFD 0x1000ull
#define KERNEL_CLONE_PARENT 0x8000ull
#define KERNEL_CLONE_INTO_CGROUP 0x200000000ull
/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME */
#define KERNEL_CLONE_NAMESPACES 0x7e020080ull
struct kernel_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

struct kernel_open_how { uint64_t flags, mode, resolve; };
#define KERNEL_RESOLVE_NO_MAGICLINKS 0x02
#define KERNEL_RESOLVE_IN_ROOT 0x10

struct kernel_mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };
#define KERNEL_ATTR_RDONLY 0x1
#define KERNEL_ATTR_NOSUID 0x2
#define KERNEL_ATTR_NODEV 0x4
#define KERNEL_ATTR_NOEXEC 0x8
#define KERNEL_ATTR_ATIME 0x70
#define KERNEL_ATTR_NOATIME 0x10
#define KERNEL_ATTR_STRICTATIME 0x20
#define KERNEL_ATTR_NODIRATIME 0x80
#define KERNEL_ATTR_IDMAP 0x100000
#define KERNEL_ATTR_NOSYMFOLLOW 0x200000

#define KERNEL_OPEN_TREE_CLONE 1
#define KERNEL_AT_RECURSIVE 0x8000
#define KERNEL_MOVE_F_EMPTY_PATH 0x4
#define KERNEL_MOVE_T_EMPTY_PATH 0x40
#define KERNEL_FSCONFIG_SET_FLAG 0
#define KERNEL_FSCONFIG_SET_STRING 1
#define KERNEL_FSCONFIG_CREATE 6
#define KERNEL_CLOSE_RANGE_CLOEXEC 4

struct kernel_sock_filter { uint16_t code; uint8_t jt, jf; uint32_t k; };
struct kernel_sock_fprog { unsigned short length; struct kernel_sock_filter *filter; };
struct kernel_cap_header { uint32_t version; int pid; };
struct kernel_cap_data { uint32_t effective, permitted, inheritable; };

#define KERNEL_SECBIT_NO_SETUID_FIXUP 4
#define KERNEL_DEVPTS_MAGIC 0x1cd1
#define KERNEL_PROC_MAGIC 0x9fa0
#define KERNEL_TIOCGPTPEER 0x5441
#define KERNEL_MFD_EXEC 0x10u

static inline int sys_open_tree(int dir, const char *path, unsigned flags) { return (int)syscall(NR_open_tree, dir, path, flags); }
static inline int sys_move_mount(int from, int to) {
	return (int)syscall(NR_move_mount, from, "", to, "", KERNEL_MOVE_F_EMPTY_PATH | KERNEL_MOVE_T_EMPTY_PATH);
}
static inline int sys_fsopen(const char *type) { return (int)syscall(NR_fsopen, type, 1 /* FSOPEN_CLOEXEC */); }
static inline int sys_fsconfig(int fs, unsigned command, const char *key, const char *value) {
	return (int)syscall(NR_fsconfig, fs, command, key, value, 0);
}
static inline int sys_fsmount(int fs, unsigned attributes) { return (int)syscall(NR_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, attributes); }
static inline int sys_mount_setattr(int fd, unsigned flags, const struct kernel_mount_attr *attr) {
	return (int)syscall(NR_mount_setattr, fd, "", flags | AT_EMPTY_PATH, attr, sizeof *attr);
}
static inline int sys_openat2(int dir, const char *path, const struct kernel_open_how *how) {
	return (int)syscall(NR_openat2, dir, path, how, sizeof *how);
}
static inline int sys_close_range(unsigned first, unsigned last, unsigned flags) { return (int)syscall(NR_close_range, first, last, flags); }
static inline int sys_pidfd_open(pid_t pid) { return (int)syscall(NR_pidfd_open, pid, 0); }
static inline int sys_pidfd_getfd(int pidfd, int fd) { return (int)syscall(NR_pidfd_getfd, pidfd, fd, 0); }
static inline int sys_pidfd_send_signal(int pidfd, int number) { return (int)syscall(NR_pidfd_send_signal, pidfd, number, NULL, 0); }
static inline pid_t sys_clone3(struct kernel_clone_args *args) { return (pid_t)syscall(NR_clone3, args, sizeof *args); }

#endif
