/*
 * User namespaces: for the owner mappings of a mount, and for a whole container. The latter is entered last: what is made before is made with the host's rights, but
 * by a file owner who exists inside, so that it belongs to the container.
 */
#include "files.h"
#include "setup.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int write_map(const char *pid, const char *name, struct list map) {
	char path[64], text[4096];
	size_t at = 0;
	struct cursor c = list_cursor(map);
	for (uint32_t i = 0; i < map.count && at < sizeof text; i += 3) {
		uint32_t inside = take_u32(&c), outside = take_u32(&c), size = take_u32(&c);
		at += (size_t)snprintf(text + at, sizeof text - at, "%u %u %u\n", inside, outside, size);
	}
	if (at >= sizeof text) {
		errno = E2BIG;
		return -1;
	}
	snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
	return write_file(path, text, 0);
}

/* As the /proc mounted here, the host's, counts: clone gives the number in the container's PID namespace. */
static int host_pid(int pidfd, char *pid, size_t size) {
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	if (read_file(path, text, sizeof text) < 0) return -1;
	const char *at = strstr(text, "Pid:");
	if (at) at += 4 + strspn(at + 4, " \t");
	snprintf(pid, size, "%.*s", at ? (int)strspn(at, "0123456789") : 0, at ? at : "");
	if (*pid && strcmp(pid, "0")) return 0;
	errno = ESRCH;
	return -1;
}

static int open_user_namespace(int pidfd, int ready, struct list uids, struct list gids) {
	char pid[16], path[64], byte;
	if (read(ready, &byte, 1) != 1) {
		errno = ECHILD;
		return -1;
	}
	if (host_pid(pidfd, pid, sizeof pid) || write_map(pid, "uid_map", uids) || write_map(pid, "gid_map", gids)) return -1;
	snprintf(path, sizeof path, "/proc/%s/ns/user", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Mappings exist in user namespaces only, and those begin with a process: a child that waits while its namespace is taken. */
int make_user_namespace(struct list uids, struct list gids) {
	int ready[2], pidfd = -1;
	if (pipe2(ready, O_CLOEXEC)) return -1;
	struct kernel_clone_args args = {.flags = CLONE_NEWUSER | KERNEL_CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	pid_t pid = sys_clone3(&args);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* its maps belong to whoever may look at it */
		if (write(ready[1], "", 1) == 1) pause();
		_exit(0);
	}
	close_quietly(ready[1]);
	int namespace = pid < 0 ? -1 : open_user_namespace(pidfd, ready[0], uids, gids);
	close_quietly(ready[0]);
	close_quietly(pidfd);
	int error = errno;
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	errno = error;
	return namespace;
}

int step_user_namespace(const struct step *s) {
	setup.user_namespace = make_user_namespace(s->list[0], s->list[1]);
	return setup.user_namespace < 0 ? -1 : 0;
}

/* The null device stays everybody's. */
int step_own_stdio(const struct step *s) {
	struct stat st;
	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st)) return -1;
		if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) continue;
		if (fchown(fd, (uid_t)s->number[0], (gid_t)-1) && errno != EINVAL && errno != EROFS) return -1;
	}
	return 0;
}

/* Without the fix-up that takes capabilities on files away from whoever is not root there. Ends with `enter-user-namespace`. */
int step_file_owner(const struct step *s) {
	if (prctl(PR_SET_SECUREBITS, KERNEL_SECBIT_NO_SETUID_FIXUP, 0, 0, 0)) return -1;
	setup.owner = (uid_t)s->number[0];
	syscall(SYS_setfsgid, s->number[1]);
	syscall(SYS_setfsuid, s->number[0]);
	bool owns = syscall(SYS_setfsgid, -1) == (long)s->number[1] && syscall(SYS_setfsuid, -1) == (long)s->number[0];
	if (!owns) errno = EPERM;
	return owns ? 0 : -1;
}

int step_enter_user_namespace(const struct step *s) {
	(void)s;
	int result = setns(setup.user_namespace, CLONE_NEWUSER);
	close_quietly(setup.user_namespace);
	setup.user_namespace = -1;
	return result;
}
