/* Steps on the process itself. */
#include "files.h"
#include "protocol.h"
#include "setup.h"
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* The multiplexer of the container's own devpts and nothing that merely has its name (CVE-2025-52565). */
static int open_multiplexer(void) {
	int fd = root_open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;
	struct statfs fs;
	if (fd < 0) return -1;
	if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2) && fstatfs(fd, &fs) == 0 && fs.f_type == KERNEL_DEVPTS_MAGIC)
		return fd;
	close(fd);
	errno = ENODEV;
	return -1;
}

/* The slave bound at /dev/console by its descriptor, so that its name cannot be swapped. */
static int bind_console(int slave) {
	int there = root_open("/dev/console", O_PATH);
	if (there < 0) there = root_open("/dev/console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
	if (there >= 0) close(there);
	int tree = sys_open_tree(slave, "", KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0) return -1;
	int result = mount_over(tree, "/dev/console");
	close_quietly(tree);
	return result;
}

int step_terminal(const struct step *s) {
	int unlocked = 0, master = open_multiplexer();
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked)) return -1;
	int slave = ioctl(master, KERNEL_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) return -1;
	struct winsize size = {.ws_row = (unsigned short)s->number[1], .ws_col = (unsigned short)s->number[2]};
	if (s->number[1] && s->number[2] && ioctl(slave, TIOCSWINSZ, &size)) return -1;
	if (s->number[0] && bind_console(slave)) return -1;
	if (ioctl(slave, TIOCSCTTY, 0)) return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(slave, fd) < 0) return -1;
	if (report_master(master)) return -1;
	close(slave);
	return close(master);
}

int step_rlimit(const struct step *s) {
	struct {
		uint64_t soft, hard;
	} limit = {s->number[1], s->number[2]};
	return (int)syscall(SYS_prlimit64, 0, (int)s->number[0], &limit, NULL);
}

int step_loopback(void) {
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return -1;
	int result = ioctl(fd, SIOCGIFFLAGS, &request);
	request.ifr_flags |= IFF_UP;
	if (result == 0) result = ioctl(fd, SIOCSIFFLAGS, &request);
	close_quietly(fd);
	return result;
}

int step_bounding(const struct step *s) {
	for (int cap = 0; cap < 64; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (has < 0) return 0; /* beyond the kernel's last one */
		if (has && !(s->number[0] >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) return -1;
	}
	return 0;
}

/* Nothing but 0, 1 and 2 survives execve. Everything of ours is opened close-on-exec anyway; this is the second lock. */
void hide_descriptors(void) { sys_close_range(3, ~0u, KERNEL_CLOSE_RANGE_CLOEXEC); }

int step_seccomp(const struct step *s) {
	static struct kernel_sock_filter filter[4096];
	struct kernel_sock_fprog program = {.length = (unsigned short)(s->bytes_length / sizeof *filter), .filter = filter};
	memcpy(filter, s->bytes, s->bytes_length);
	hide_descriptors(); /* the filter may not allow it any more */
	if (syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, (unsigned)s->number[0], &program) < 0) return -1;
	setup.filtered = true;
	return 0;
}

int step_user(const struct step *s) {
	uid_t uid = (uid_t)s->number[0];
	gid_t gid = (gid_t)s->number[1];
	struct stat st;
	/* So that /dev/stdout can be opened again. Not the null device: it is everybody's. */
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 && st.st_uid != uid && !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) && fchown(fd, uid, (gid_t)-1) &&
			errno != EINVAL && errno != EPERM && errno != EROFS)
			return -1;
	struct cursor c = list_cursor(s->list[0]);
	gid_t *groups = malloc((s->list[0].count + 1) * sizeof *groups);
	if (!groups) return -1;
	for (uint32_t i = 0; i < s->list[0].count; i++) groups[i] = take_u32(&c);
	/* By number, not through libc, whose wrappers may have to speak to threads. */
	int result = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (result == 0) result = (int)syscall(SYS_setgroups, s->list[0].count, groups);
	if (result == 0) result = (int)syscall(SYS_setresgid, gid, gid, gid);
	if (result == 0) result = (int)syscall(SYS_setresuid, uid, uid, uid);
	free(groups);
	umask((mode_t)s->number[2] & 0777);
	return result;
}

int step_capabilities(const struct step *s) {
	struct kernel_cap_header header = {.version = 0x20080522};
	struct kernel_cap_data data[2];
	for (int i = 0; i < 2; i++)
		data[i] = (struct kernel_cap_data){
			.effective = (uint32_t)(s->number[0] >> 32 * i),
			.permitted = (uint32_t)(s->number[1] >> 32 * i),
			.inheritable = (uint32_t)(s->number[2] >> 32 * i),
		};
	if (syscall(SYS_capset, &header, data)) return -1;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL) return -1;
	for (int cap = 0; cap < 64; cap++)
		if (s->number[3] >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0)) return -1;
	return 0;
}

/* The raw call tells a directory outside the root by a name without a leading slash, "(unreachable)..." (CVE-2024-21626). */
int step_chdir(const struct step *s) {
	char path[PATH_MAX];
	if (chdir(s->text[0])) return -1;
	if (syscall(SYS_getcwd, path, sizeof path) < 0) return -1;
	if (*path == '/') return 0;
	errno = EPERM;
	return -1;
}

static int check_executable(const char *path) {
	struct stat st;
	if (stat(path, &st)) return -1;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
}

/* What execvp would run; the reasons for passing an entry by are not told, as in Docker's "executable file not found in $PATH". */
static const char *find_in_path(const char *name, const char *path, char *buffer, size_t size) {
	for (;;) {
		size_t length = strcspn(path, ":");
		int n = snprintf(buffer, size, "%.*s%s%s", (int)length, path, length ? "/" : "./", name);
		if (n > 0 && (size_t)n < size && check_executable(buffer) == 0) return buffer;
		path += length;
		if (!*path++) break;
	}
	errno = ENOENT;
	return NULL;
}

static char **pointers(struct list list) {
	char **all = malloc((list.count + (size_t)1) * sizeof *all);
	struct cursor c = list_cursor(list);
	if (!all) return NULL;
	for (uint32_t i = 0; i < list.count; i++) all[i] = (char *)(uintptr_t)take_text(&c);
	all[list.count] = NULL;
	return all;
}

static struct {
	const char *file;
	char **argv, **env;
} ready;

int exec_prepare(const struct step *s) {
	static char buffer[PATH_MAX];
	if (setup.hook) s = setup.hook;
	char **argv = pointers(s->list[0]), **env = pointers(s->list[1]);
	if (!argv || !env) return -1;
	const char *file = setup.hook ? s->text[0] : argv[0];
	if (!strchr(file, '/')) {
		setup.detail = DETAIL_NOT_IN_PATH;
		errno = ENOENT;
		if (!*file || !(file = find_in_path(file, s->text[0], buffer, sizeof buffer))) return -1;
	} else {
		setup.detail = DETAIL_LOOKUP;
		if (check_executable(file)) return -1;
	}
	setup.detail = DETAIL_NONE;
	ready.file = file, ready.argv = argv, ready.env = env;
	return setup.hook ? 0 : report_exec();
}

int step_exec(const struct step *s) {
	if (!ready.file && exec_prepare(s)) return -1;
	if (!setup.filtered) hide_descriptors();
	execve(ready.file, ready.argv, ready.env);
	setup.detail = DETAIL_EXECVE;
	return -1;
}
