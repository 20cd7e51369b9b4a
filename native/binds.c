/* Binds: where they start, whose files they seem to hold, and whether mounts travel through them. */
#include "files.h"
#include "protocol.h"
#include "setup.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A subpath is followed below the source and never out of it, however its links are swapped meanwhile (CVE-2021-30465). */
static int clone_source(const char *source, const char *subpath, bool recursive) {
	unsigned flags = KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | (recursive ? KERNEL_AT_RECURSIVE : 0);
	if (!*subpath) return sys_open_tree(AT_FDCWD, source, flags);
	int base = open(source, O_PATH | O_CLOEXEC);
	if (base < 0) return -1;
	int found = open_below(base, subpath, O_PATH);
	close_quietly(base);
	if (found < 0) {
		setup.detail = DETAIL_SUBPATH;
		return -1;
	}
	int tree = sys_open_tree(found, "", flags | AT_EMPTY_PATH);
	close_quietly(found);
	return tree;
}

int step_take_tree(const struct step *s) {
	int *trees = realloc(setup.trees, (setup.tree_count + 1) * sizeof *trees);
	if (!trees) return -1;
	setup.trees = trees;
	trees[setup.tree_count] = clone_source(s->text[0], s->text[1], s->number[0]);
	return trees[setup.tree_count] < 0 ? -1 : (setup.tree_count++, 0);
}

/* --- owners --- */

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
static int make_user_namespace(struct list uids, struct list gids) {
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

/* Possible only while nobody has seen the mount. */
static int map_owners(int tree, const struct step *s) {
	if (s->list[0].count == 0 && s->list[1].count == 0) return 0;
	setup.detail = DETAIL_IDMAP;
	int namespace = make_user_namespace(s->list[0], s->list[1]);
	if (namespace < 0) return -1;
	struct kernel_mount_attr attr = {.attr_set = KERNEL_ATTR_IDMAP, .userns_fd = (uint64_t)namespace};
	int result = sys_mount_setattr(tree, 0, &attr);
	close_quietly(namespace);
	if (result == 0) setup.detail = DETAIL_NONE;
	return result;
}

/* --- the step --- */

int make_mount_point(const char *path, bool directory) {
	int there = root_open(path, O_PATH);
	if (there >= 0) return close(there);
	if (errno != ENOENT) return -1;
	if (directory) return root_mkdirs(path, 0755, 0, 0);
	char buffer[PATH_MAX];
	const char *name;
	int parent = root_parent(path, &name, buffer, sizeof buffer);
	if (parent < 0 && errno == ENOENT) {
		if (root_mkdirs(*buffer ? buffer : "/", 0755, 0, 0)) return -1;
		parent = root_parent(path, &name, buffer, sizeof buffer);
	}
	if (parent < 0) return -1;
	int fd = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0755);
	close_quietly(parent);
	return fd < 0 ? -1 : close(fd);
}

int step_bind(const struct step *s) {
	bool recursive = s->number[0], create = s->number[4];
	uint64_t flags = s->number[1], taken = s->number[5];
	if (taken > setup.tree_count) {
		errno = EINVAL;
		return -1;
	}
	int tree = taken ? setup.trees[taken - 1] : clone_source(s->text[0], s->text[1], recursive);
	struct stat source;
	if (tree < 0) return -1;
	int result = map_owners(tree, s);
	if (result == 0) result = fstat(tree, &source);
	if (result == 0 && create) result = make_mount_point(s->text[2], S_ISDIR(source.st_mode));
	if (result == 0) result = mount_over(tree, s->text[2]);
	if (result == 0) result = set_attributes(tree, flags, false);
	if (result == 0 && s->number[2]) result = set_attributes(tree, MS_RDONLY, true);
	if (result == 0) result = set_propagation(tree, s->number[3]);
	close_quietly(tree);
	return result;
}
