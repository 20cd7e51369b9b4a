/* Mount steps: the new mount API throughout, so that a mount is made apart, finished, and only then attached to a descriptor, never to a path. */
#include "files.h"
#include "protocol.h"
#include "setup.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

static int closing(int fd, int result) {
	close_quietly(fd);
	return result;
}

static unsigned attributes_of(uint64_t flags) {
	unsigned attr = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC); /* the same four bits in both */
	if (flags & MS_NOATIME) attr |= KERNEL_ATTR_NOATIME;
	if (flags & MS_STRICTATIME) attr |= KERNEL_ATTR_STRICTATIME;
	if (flags & MS_NODIRATIME) attr |= KERNEL_ATTR_NODIRATIME;
	if (flags & 256 /* MS_NOSYMFOLLOW */) attr |= KERNEL_ATTR_NOSYMFOLLOW;
	return attr;
}

/* Sets attributes on an attached mount, by a remount where the kernel (before 5.12) has no mount_setattr. */
int set_attributes(int fd, uint64_t flags, bool recursive) {
	unsigned attr = attributes_of(flags);
	if (attr == 0 && !(flags & MS_RELATIME)) return 0;
	bool times = flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME);
	struct kernel_mount_attr set = {.attr_set = attr, .attr_clr = times ? KERNEL_ATTR_ATIME : 0};
	if (sys_mount_setattr(fd, recursive ? KERNEL_AT_RECURSIVE : 0, &set) == 0) return 0;
	if (errno != ENOSYS || recursive) return -1;
	struct statvfs now;
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstatvfs(fd, &now)) return -1;
	unsigned long kept = now.f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | kept | flags, NULL);
}

int set_propagation(int fd, uint64_t propagation) {
	if (propagation == 0) return 0;
	struct kernel_mount_attr set = {.propagation = propagation & ~(uint64_t)MS_REC};
	return sys_mount_setattr(fd, propagation & MS_REC ? KERNEL_AT_RECURSIVE : 0, &set);
}

int mount_over(int tree, const char *path) {
	int target = root_open(path, O_PATH);
	if (target < 0) return -1;
	return closing(target, sys_move_mount(tree, target));
}

int step_propagation(const struct step *s) { return mount(NULL, "/", NULL, s->number[0], NULL); }

/* "a=b,c": each to the file system as a string or a flag. */
static int configure(int fs, const char *data) {
	char *copy = strdup(data), *rest = copy, *item;
	if (!copy) return -1;
	int result = 0;
	while (result == 0 && (item = strsep(&rest, ","))) {
		if (!*item) continue;
		char *value = strchr(item, '=');
		if (value) *value++ = 0;
		result = sys_fsconfig(fs, value ? KERNEL_FSCONFIG_SET_STRING : KERNEL_FSCONFIG_SET_FLAG, item, value);
	}
	free(copy);
	return result;
}

static const struct {
	unsigned long flag;
	const char *name;
} superblock_flags[] = {{MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"}, {MS_MANDLOCK, "mand"}, {MS_LAZYTIME, "lazytime"}};

/* A mount nobody sees yet. */
static int make_mount(const char *type, const char *source, uint64_t flags, const char *data) {
	int fs = sys_fsopen(type);
	if (fs < 0) return -1;
	int result = *source ? sys_fsconfig(fs, KERNEL_FSCONFIG_SET_STRING, "source", source) : 0;
	for (size_t i = 0; i < sizeof superblock_flags / sizeof *superblock_flags && result == 0; i++)
		if (flags & superblock_flags[i].flag) result = sys_fsconfig(fs, KERNEL_FSCONFIG_SET_FLAG, superblock_flags[i].name, NULL);
	if (result == 0) result = configure(fs, data);
	if (result == 0) result = sys_fsconfig(fs, KERNEL_FSCONFIG_CREATE, NULL, NULL);
	if (result == 0) result = sys_fsmount(fs, attributes_of(flags));
	return closing(fs, result);
}

int step_mount(const struct step *s) {
	int made = make_mount(s->text[0], s->text[1], s->number[0], s->text[3]);
	if (made < 0) return -1;
	return closing(made, mount_over(made, s->text[2]));
}

struct overlay {
	const char *base;
	struct list lowers;
	const char *upper, *work; /* NULL: read-only */
	const char *options;
};

/* lowerdir+ takes one layer at a time (Linux 6.5), so their number is not limited by the page that mount(2) copies. */
static int overlay_by_layers(const struct overlay *o) {
	int fs = sys_fsopen("overlay");
	if (fs < 0) return -1;
	char lower[PATH_MAX];
	struct cursor c = list_cursor(o->lowers);
	int result = sys_fsconfig(fs, KERNEL_FSCONFIG_SET_STRING, "source", "overlay");
	for (uint32_t i = 0; i < o->lowers.count && result == 0; i++) {
		snprintf(lower, sizeof lower, "%s/%s", o->base, take_text(&c));
		result = sys_fsconfig(fs, KERNEL_FSCONFIG_SET_STRING, "lowerdir+", lower);
	}
	if (result == 0 && o->upper) result = sys_fsconfig(fs, KERNEL_FSCONFIG_SET_STRING, "upperdir", o->upper);
	if (result == 0 && o->upper) result = sys_fsconfig(fs, KERNEL_FSCONFIG_SET_STRING, "workdir", o->work);
	if (result == 0) result = configure(fs, o->options);
	if (result == 0) result = sys_fsconfig(fs, KERNEL_FSCONFIG_CREATE, NULL, NULL);
	if (result == 0) result = sys_fsmount(fs, o->upper ? 0 : KERNEL_ATTR_RDONLY);
	return closing(fs, result);
}

/* In mount(2)'s one string the overlay reads "\" as an escape and "," and ":" as separators. */
static size_t append_escaped(char *data, size_t at, size_t size, const char *text) {
	for (; *text && at + 3 < size; text++) {
		if (strchr("\\,:", *text)) data[at++] = '\\';
		data[at++] = *text;
	}
	data[at] = 0;
	return at;
}

static int overlay_by_names(const struct overlay *o, const char *target) {
	char data[4096] = "lowerdir=";
	size_t at = strlen(data);
	if (chdir(o->base)) return -1;
	struct cursor c = list_cursor(o->lowers);
	for (uint32_t i = 0; i < o->lowers.count; i++) {
		if (i && at + 3 < sizeof data) data[at++] = ':';
		at = append_escaped(data, at, sizeof data, take_text(&c));
	}
	if (o->upper) {
		at += (size_t)snprintf(data + at, sizeof data - at, ",upperdir=");
		if (at < sizeof data) at = append_escaped(data, at, sizeof data, o->upper);
		if (at < sizeof data) at += (size_t)snprintf(data + at, sizeof data - at, ",workdir=");
		if (at < sizeof data) at = append_escaped(data, at, sizeof data, o->work);
	}
	if (at < sizeof data) at += (size_t)snprintf(data + at, sizeof data - at, "%s%s", *o->options ? "," : "", o->options);
	if (at + 3 >= sizeof data) {
		errno = E2BIG;
		return -1;
	}
	return mount("overlay", target, "overlay", o->upper ? 0 : MS_RDONLY, data);
}

/* Asked of the version, since an older kernel would write a complaint into its log at every start. One that has it backported takes the other way. */
static bool knows_layers(void) {
	struct utsname host;
	unsigned major, minor;
	if (uname(&host) || sscanf(host.release, "%u.%u", &major, &minor) != 2) return true;
	return major > 6 || (major == 6 && minor >= 5);
}

int step_overlay(const struct step *s) {
	struct overlay overlay = {s->text[1], s->list[0], s->text[2], s->text[3], s->text[4]};
	int made = -1;
	errno = EINVAL;
	if (knows_layers()) made = overlay_by_layers(&overlay);
	if (made < 0 && errno == EINVAL) {
		if (overlay_by_names(&overlay, s->text[0])) return -1;
		setup.root = open(s->text[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
		return setup.root < 0 ? -1 : 0;
	}
	if (made < 0) return -1;
	if (mount_over(made, s->text[0])) return closing(made, -1);
	setup.root = made;
	return 0;
}

/* The part of the layers that is wanted, as a mount nobody sees yet. A part can only be taken of what is mounted somewhere: for that moment, here, over the
 * directory of the layers themselves, which nobody else sees. */
static int part_of_layers(const struct overlay *o, int made, const char *subpath) {
	int base = made < 0 ? -1 : open(o->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (made < 0 ? overlay_by_names(o, o->base) : base < 0 || sys_move_mount(made, base)) return closing(base, -1);
	close_quietly(base);
	int whole = open(o->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int found = whole < 0 ? -1 : open_below(whole, subpath, O_PATH);
	if (found < 0) setup.detail = DETAIL_SUBPATH;
	int tree = found < 0 ? -1 : sys_open_tree(found, "", KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);
	close_quietly(found);
	close_quietly(whole);
	int error = errno;
	if (umount2(o->base, MNT_DETACH)) return closing(tree, -1);
	errno = error;
	return tree;
}

int step_mount_layers(const struct step *s) {
	struct overlay overlay = {s->text[1], s->list[0], NULL, NULL, s->text[2]};
	const char *target = s->text[0], *subpath = s->text[3];
	struct cursor writable = list_cursor(s->list[1]);
	if (s->list[1].count) overlay.upper = take_text(&writable), overlay.work = take_text(&writable);
	struct stat st;
	int made = -1;
	errno = EINVAL;
	if (knows_layers()) made = overlay_by_layers(&overlay);
	if (made < 0 && errno != EINVAL) return -1;
	int tree = made >= 0 && !*subpath ? made : part_of_layers(&overlay, made, *subpath ? subpath : "/");
	if (made != tree) close_quietly(made);
	if (tree < 0) return -1;
	int result = fstat(tree, &st);
	if (result == 0) result = make_mount_point(target, S_ISDIR(st.st_mode));
	return closing(tree, result ? result : mount_over(tree, target));
}

/* A file of a file system that lives in memory and is never swapped out, of which nothing but this file is ever seen. It can only be taken from what is
 * mounted somewhere: for that moment over the root, where nobody looks. */
int step_memory_file(const struct step *s) {
	uint64_t flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char whole[40];
	if (make_mount_point(s->text[0], false)) return -1;
	int made = make_mount("ramfs", "ramfs", flags & ~(uint64_t)MS_RDONLY, "mode=700");
	int file = made < 0 ? -1 : openat(made, "file", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	int result = file < 0 ? -1 : 0;
	for (uint32_t at = 0; result == 0 && at < s->bytes_length;) {
		ssize_t n = write(file, s->bytes + at, s->bytes_length - at);
		if (n < 0) result = -1;
		else at += (uint32_t)n;
	}
	if (result == 0) result = fchown(file, (uid_t)s->number[1], (gid_t)s->number[2]);
	if (result == 0) result = fchmod(file, (mode_t)s->number[0]);
	close_quietly(file);
	if (result == 0) result = sys_move_mount(made, setup.root);
	if (result) return closing(made, -1);
	int tree = sys_open_tree(made, "file", KERNEL_OPEN_TREE_CLONE | O_CLOEXEC);
	snprintf(whole, sizeof whole, "/proc/self/fd/%d", made);
	result = umount2(whole, MNT_DETACH) || tree < 0 ? -1 : mount_over(tree, s->text[0]);
	if (result == 0) result = set_attributes(tree, flags, false);
	close_quietly(made);
	return closing(tree, result);
}

int step_bind_root(const struct step *s) {
	int tree = sys_open_tree(AT_FDCWD, s->text[0], KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | KERNEL_AT_RECURSIVE);
	if (tree < 0) return -1;
	if (mount_over(tree, s->text[0])) return closing(tree, -1);
	setup.root = tree;
	return 0;
}

int step_tmpfs_copyup(const struct step *s) {
	/* Read-only only once it is filled. */
	int made = make_mount("tmpfs", "tmpfs", s->number[0] & ~(uint64_t)MS_RDONLY, s->text[1]);
	if (made < 0) return -1;
	int from = root_open(s->text[0], O_RDONLY | O_DIRECTORY);
	int result = from < 0 ? -1 : copy_tree(from, made, !strstr(s->text[1], "mode="));
	close_quietly(from);
	if (result == 0) result = mount_over(made, s->text[0]);
	if (result == 0) result = set_attributes(made, s->number[0] & MS_RDONLY, false);
	return closing(made, result);
}

int step_pivot(const struct step *s) {
	(void)s;
	if (fchdir(setup.root) || syscall(SYS_pivot_root, ".", ".")) return -1;
	close(setup.root);
	setup.root = -1;
	/* umount2 takes the topmost mount at ".", the old root. That does not travel to the host: `propagation` has parted the two. */
	if (umount2(".", MNT_DETACH)) return -1;
	return chdir("/");
}

static bool is_missing(void) { return errno == ENOENT || errno == ENOTDIR; }

/* The real null device, whatever the container's /dev may have been swapped for (CVE-2025-31133). */
static int open_null(void) {
	int fd = root_open("/dev/null", O_PATH | O_NOFOLLOW);
	struct stat st;
	if (fd < 0) return -1;
	if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) return fd;
	close(fd);
	errno = ENODEV;
	return -1;
}

int step_mask(const struct step *s) {
	struct stat st;
	int target = root_open(s->text[0], O_PATH), tree;
	if (target < 0) return is_missing() ? 0 : -1;
	if (fstat(target, &st)) return closing(target, -1);
	if (S_ISDIR(st.st_mode)) {
		tree = make_mount("tmpfs", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "nr_blocks=1,nr_inodes=1");
	} else {
		int null = open_null();
		tree = null < 0 ? -1 : sys_open_tree(null, "", KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);
		close_quietly(null);
	}
	int result = tree < 0 ? -1 : sys_move_mount(tree, target);
	close_quietly(tree);
	return closing(target, result);
}

int step_readonly(const struct step *s) {
	int target = root_open(s->text[0], O_PATH);
	if (target < 0) return is_missing() ? 0 : -1;
	int tree = sys_open_tree(target, "", KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | KERNEL_AT_RECURSIVE);
	int result = tree < 0 ? -1 : sys_move_mount(tree, target);
	if (result == 0 && (result = set_attributes(tree, MS_RDONLY, true)) && errno == ENOSYS) result = set_attributes(tree, MS_RDONLY, false);
	close_quietly(tree);
	return closing(target, result);
}

int step_readonly_root(const struct step *s) {
	(void)s;
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) return -1;
	return closing(root, set_attributes(root, MS_RDONLY, false));
}
