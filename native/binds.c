/* Binds: where they start, whose files they seem to hold, and whether mounts travel through them. */
#include "files.h"
#include "protocol.h"
#include "setup.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

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

/* Of another container: only who is in its mount namespace may copy a mount there. */
static int clone_source_in(const char *namespace, const char *source, const char *subpath, bool recursive) {
	if (!*namespace) return clone_source(source, subpath, recursive);
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), there = own < 0 ? -1 : open(namespace, O_RDONLY | O_CLOEXEC);
	int tree = there < 0 || setns(there, CLONE_NEWNS) ? -1 : clone_source(source, subpath, recursive);
	int error = errno;
	if (own >= 0 && setns(own, CLONE_NEWNS)) error = errno, close_quietly(tree), tree = -1;
	close_quietly(own);
	close_quietly(there);
	errno = error;
	return tree;
}

int step_take_tree(const struct step *s) {
	int *trees = realloc(setup.trees, (setup.tree_count + 1) * sizeof *trees);
	if (!trees) return -1;
	setup.trees = trees;
	trees[setup.tree_count] = clone_source_in(s->text[2], s->text[0], s->text[1], s->number[0]);
	return trees[setup.tree_count] < 0 ? -1 : (setup.tree_count++, 0);
}

/* --- owners --- */

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
	if (directory) return root_mkdirs(path, 0755, (uid_t)-1, (gid_t)-1); /* whoever makes files here */
	char buffer[PATH_MAX];
	const char *name;
	int parent = root_parent(path, &name, buffer, sizeof buffer);
	if (parent < 0 && errno == ENOENT) {
		if (root_mkdirs(*buffer ? buffer : "/", 0755, (uid_t)-1, (gid_t)-1)) return -1;
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
