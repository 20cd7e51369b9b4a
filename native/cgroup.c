#include "cgroup.h"
#include "files.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file listing the processes; prefers the freezer's, which is there on every v1 host. */
static bool procs_path(const struct cgroup *g, char *path, size_t size) {
	if (*g->kill_file) {
		const char *slash = strrchr(g->kill_file, '/');
		return slash && snprintf(path, size, "%.*s/cgroup.procs", (int)(slash - g->kill_file), g->kill_file) < (int)size;
	}
	return *g->freezer && snprintf(path, size, "%s/cgroup.procs", g->freezer) < (int)size;
}

bool cgroup_empty(const struct cgroup *g) {
	char path[PATH_MAX], some[16];
	return !procs_path(g, path, sizeof path) || read_file(path, some, sizeof some) <= 0;
}

int cgroup_signal(const struct cgroup *g, int number) {
	char path[PATH_MAX];
	if (!procs_path(g, path, sizeof path)) {
		errno = ENOENT;
		return -1;
	}
	FILE *file = fopen(path, "re");
	if (!file) return -1;
	int pid, sent = 0;
	while (fscanf(file, "%d", &pid) == 1)
		if (pid > 1 && kill(pid, number) == 0) sent++;
	fclose(file);
	if (sent > 0) return 0;
	errno = ESRCH;
	return -1;
}

int cgroup_kill(const struct cgroup *g) {
	if (*g->kill_file && write_file(g->kill_file, "1", 0) == 0) return 0;
	char state[PATH_MAX];
	bool freezer = *g->freezer && snprintf(state, sizeof state, "%s/freezer.state", g->freezer) < (int)sizeof state;
	if (freezer) write_file(state, "FROZEN", 0);
	int result = cgroup_signal(g, SIGKILL);
	if (freezer) write_file(state, "THAWED", 0);
	return result;
}

bool cgroup_oom_killed(const struct cgroup *g) {
	char text[1024];
	if (!*g->oom_file || read_file(g->oom_file, text, sizeof text) < 0) return false;
	const char *line = strstr(text, "oom_kill ");
	return line && strtoul(line + strlen("oom_kill "), NULL, 10) > 0;
}

bool cgroup_remove(const struct cgroup *g) {
	struct cursor c = list_cursor(g->directories);
	bool done = true;
	for (uint32_t i = 0; i < g->directories.count; i++)
		if (rmdir(take_text(&c)) && errno == EBUSY) done = false;
	return done;
}
