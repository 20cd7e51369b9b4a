#include "cgroup.h"
#include "files.h"
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of the v2 directory. */
static bool unified_path(const struct cgroup *g, const char *name, char *path, size_t size) {
	const char *slash = strrchr(g->kill_file, '/');
	return slash && snprintf(path, size, "%.*s/%s", (int)(slash - g->kill_file), g->kill_file, name) < (int)size;
}

/* The file listing the processes; without v2 the freezer's, which is there on every v1 host. */
static bool procs_path(const struct cgroup *g, char *path, size_t size) {
	if (*g->kill_file) return unified_path(g, "cgroup.procs", path, size);
	return *g->freezer && snprintf(path, size, "%s/cgroup.procs", g->freezer) < (int)size;
}

bool cgroup_empty(const struct cgroup *g) {
	char path[PATH_MAX], text[256];
	/* Counts those in cgroups that the container made below its own, which the list of processes does not. */
	if (*g->kill_file && unified_path(g, "cgroup.events", path, sizeof path))
		return read_file(path, text, sizeof text) <= 0 || !strstr(text, "populated 1");
	return !procs_path(g, path, sizeof path) || read_file(path, text, sizeof text) <= 0;
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

/* The directory is v1's or, before cgroup.kill came with 5.14, v2's. */
static void freeze(const struct cgroup *g, bool frozen) {
	char path[PATH_MAX];
	if (!*g->freezer) return;
	if (snprintf(path, sizeof path, "%s/freezer.state", g->freezer) < (int)sizeof path && write_file(path, frozen ? "FROZEN" : "THAWED", 0) == 0) return;
	if (snprintf(path, sizeof path, "%s/cgroup.freeze", g->freezer) < (int)sizeof path) write_file(path, frozen ? "1" : "0", 0);
}

int cgroup_kill(const struct cgroup *g) {
	if (*g->kill_file && write_file(g->kill_file, "1", 0) == 0) return 0;
	freeze(g, true);
	int result = cgroup_signal(g, SIGKILL);
	freeze(g, false);
	return result;
}

bool cgroup_oom_killed(const struct cgroup *g) {
	char text[1024];
	if (!*g->oom_file || read_file(g->oom_file, text, sizeof text) < 0) return false;
	const char *line = strstr(text, "oom_kill ");
	return line && strtoul(line + strlen("oom_kill "), NULL, 10) > 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
	(void)st, (void)where;
	if (type == FTW_DP) rmdir(path);
	return 0;
}

bool cgroup_remove(const struct cgroup *g) {
	struct cursor c = list_cursor(g->directories);
	bool done = true;
	for (uint32_t i = 0; i < g->directories.count; i++) {
		const char *path = take_text(&c);
		if (rmdir(path) == 0 || errno == ENOENT) continue;
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* the container may have made some of its own below */
		done = done && access(path, F_OK) != 0;
	}
	return done;
}
