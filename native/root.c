#include "files.h"
#include "setup.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int open_below(int directory, const char *path, int flags) {
	struct kernel_open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? 0755 : 0,
		.resolve = KERNEL_RESOLVE_IN_ROOT | KERNEL_RESOLVE_NO_MAGICLINKS,
	};
	int fd;
	/* EAGAIN: somebody renamed on the way; the kernel asks to try again. */
	for (int i = 0; i < 100; i++)
		if ((fd = sys_openat2(directory, path, &how)) >= 0 || errno != EAGAIN) break;
	return fd;
}

int root_open(const char *path, int flags) {
	return setup.root < 0 ? open(path, flags | O_CLOEXEC, 0755) : open_below(setup.root, path, flags);
}

int root_parent(const char *path, const char **name, char *buffer, size_t size) {
	size_t length = strlen(path);
	while (length > 1 && path[length - 1] == '/') length--;
	if (length + 2 > size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	buffer[0] = '/'; /* so that there always is a slash */
	memcpy(buffer + 1, path, length);
	buffer[length + 1] = 0;
	char *slash = strrchr(buffer, '/');
	*name = slash + 1;
	if (!**name || !strcmp(*name, ".") || !strcmp(*name, "..")) {
		errno = EINVAL;
		return -1;
	}
	*slash = 0;
	return root_open(*buffer ? buffer : "/", O_PATH | O_DIRECTORY);
}

static int make_directories(const char *path, mode_t mode, uid_t uid, gid_t gid, int links_left);

/* `path` is missing although its name exists: a link to something missing, like /var/run -> /run without a /run. Makes what it points to. */
static int follow_dangling(int parent, const char *name, const char *path, mode_t mode, uid_t uid, gid_t gid, int links_left) {
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t n = readlinkat(parent, name, link, sizeof link - 1);
	if (n < 0 || links_left == 0) return -1;
	link[n] = 0;
	int before = *link == '/' ? 0 : (int)(strrchr(path, '/') + 1 - path);
	if (snprintf(target, sizeof target, "%.*s%s", before, path, link) >= (int)sizeof target) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return make_directories(target, mode, uid, gid, links_left - 1);
}

static int make_one(const char *path, mode_t mode, uid_t uid, gid_t gid, int links_left) {
	char buffer[PATH_MAX];
	const char *name;
	int parent = root_parent(path, &name, buffer, sizeof buffer);
	if (parent < 0) return -1;
	int result = mkdirat(parent, name, mode);
	if (result == 0) result = fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW);
	else if (errno == EEXIST) result = follow_dangling(parent, name, path, mode, uid, gid, links_left);
	close_quietly(parent);
	return result;
}

static int make_directories(const char *path, mode_t mode, uid_t uid, gid_t gid, int links_left) {
	char prefix[PATH_MAX];
	if (snprintf(prefix, sizeof prefix, "/%s", path) >= (int)sizeof prefix) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *end = prefix; *end;) {
		end += strspn(end, "/");
		end += strcspn(end, "/");
		char cut = *end;
		*end = 0;
		int fd = root_open(prefix, O_PATH | O_DIRECTORY);
		if (fd >= 0) close(fd);
		else if (errno != ENOENT || make_one(prefix, mode, uid, gid, links_left)) return -1;
		*end = cut;
	}
	return 0;
}

int root_mkdirs(const char *path, mode_t mode, uid_t uid, gid_t gid) {
	int fd = root_open(path, O_PATH | O_DIRECTORY);
	if (fd >= 0) return close(fd);
	return errno == ENOENT ? make_directories(path, mode, uid, gid, 40) : -1;
}
