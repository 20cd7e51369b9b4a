#include "files.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int write_file(const char *path, const char *data, int flags) {
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
	if (fd < 0) return -1;
	size_t length = strlen(data);
	ssize_t n = write(fd, data, length);
	int error = n < 0 ? errno : EIO;
	close(fd);
	if (n == (ssize_t)length) return 0;
	errno = error;
	return -1;
}

void close_quietly(int fd) {
	int error = errno;
	if (fd >= 0) close(fd);
	errno = error;
}

ssize_t read_file(const char *path, char *buffer, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return -1;
	size_t length = 0;
	ssize_t n = 0;
	while (length < size - 1 && (n = read(fd, buffer + length, size - 1 - length)) > 0) length += (size_t)n;
	close(fd);
	buffer[length] = 0;
	return n < 0 ? -1 : (ssize_t)length;
}

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

void close_all_but(int *keep, size_t count) {
	qsort(keep, count, sizeof *keep, by_value);
	unsigned from = 3;
	for (size_t i = 0; i < count; i++) {
		if (keep[i] < (int)from) continue;
		if ((unsigned)keep[i] > from) sys_close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	sys_close_range(from, ~0u, 0);
}

void reset_signals(void) {
	for (int number = 1; number < _NSIG; number++) signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

uint64_t time_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int exit_record(const char *path, uint32_t code, uint64_t at_ns, bool oom_killed, const char *note) {
	char text[256], aside[PATH_MAX];
	snprintf(text, sizeof text, "{\"code\":%u,\"atNs\":\"%llu\",\"oomKilled\":%s,\"note\":\"%s\"}\n", code, (unsigned long long)at_ns,
		oom_killed ? "true" : "false", note);
	if (snprintf(aside, sizeof aside, "%s.new", path) >= (int)sizeof aside) return -1;
	if (write_file(aside, text, O_CREAT | O_TRUNC | O_NOFOLLOW)) return -1;
	return rename(aside, path);
}
