/* What the image has below a directory, copied into a tmpfs that is about to cover it. The image is hostile: bounded depth, nothing followed, no FIFO opened. */
#include "files.h"
#include "setup.h"
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 100

static int copy_bytes(int from, int to) {
	static char buffer[32768];
	ssize_t n;
	while ((n = read(from, buffer, sizeof buffer)) > 0)
		for (ssize_t at = 0, w; at < n; at += w)
			if ((w = write(to, buffer + at, (size_t)(n - at))) < 0) return -1;
	return (int)n;
}

static int copy_file(int from, int to, const char *name) {
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out = -1, result = -1;
	if (in >= 0) out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out >= 0) result = copy_bytes(in, out);
	close_quietly(in);
	close_quietly(out);
	return result;
}

static int copy_below(int from, int to, int depth);

static int copy_directory(int from, int to, const char *name, int depth) {
	if (mkdirat(to, name, 0700)) return -1;
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), result = -1;
	int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in >= 0 && out >= 0) result = copy_below(in, out, depth + 1);
	close_quietly(in);
	close_quietly(out);
	return result;
}

static int copy_entry(int from, int to, const char *name, int depth) {
	struct stat st;
	char link[PATH_MAX];
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW)) return -1;
	int result;
	if (S_ISDIR(st.st_mode)) {
		result = copy_directory(from, to, name, depth);
	} else if (S_ISREG(st.st_mode)) {
		result = copy_file(from, to, name);
	} else if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(from, name, link, sizeof link - 1);
		if (n < 0) return -1;
		link[n] = 0;
		result = symlinkat(link, to, name);
	} else {
		result = mknodat(to, name, st.st_mode, st.st_rdev);
	}
	if (result == 0) result = fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
	if (result == 0 && !S_ISLNK(st.st_mode)) result = fchmodat(to, name, st.st_mode & 07777, 0);
	struct timespec times[2] = {st.st_atim, st.st_mtim};
	if (result == 0) result = utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
	return result;
}

static int copy_below(int from, int to, int depth) {
	if (depth > MAX_DEPTH) {
		errno = ELOOP;
		return -1;
	}
	DIR *directory = fdopendir(fcntl(from, F_DUPFD_CLOEXEC, 3));
	if (!directory) return -1;
	struct dirent *entry;
	int result = 0;
	while (result == 0 && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) result = copy_entry(from, to, entry->d_name, depth);
	int error = errno;
	closedir(directory);
	errno = error;
	return result;
}

/* The directory itself is copied too: its owner, and its mode unless the mount was given one. */
int copy_tree(int from, int to, bool with_mode) {
	struct stat st;
	int writable = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = writable < 0 || fstat(from, &st) || copy_below(from, writable, 0) || fchown(writable, st.st_uid, st.st_gid) ? -1 : 0;
	if (result == 0 && with_mode) result = fchmod(writable, st.st_mode & 07777);
	close_quietly(writable);
	return result;
}
