/* The container's control groups as the monitor, or the launcher in its place, ends them. All texts may be "" (not there). */
#ifndef GANTRY_CGROUP_H
#define GANTRY_CGROUP_H
#include "wire.h"

struct cgroup {
	const char *oom_file;    /* v1 memory.oom_control or v2 memory.events */
	const char *kill_file;   /* cgroup.kill of a v2 or unified directory */
	const char *freezer;     /* v1 freezer directory */
	struct list directories; /* to be removed, in order */
};

/* True when no process is left in it (or when nothing could tell). */
bool cgroup_empty(const struct cgroup *g);
/* SIGKILL to all: cgroup.kill, else freeze, kill, thaw, so that a fork bomb cannot outrun it. */
int cgroup_kill(const struct cgroup *g);
/* Another signal to every process. */
int cgroup_signal(const struct cgroup *g, int number);
bool cgroup_oom_killed(const struct cgroup *g);
/* False while a directory is still busy. */
bool cgroup_remove(const struct cgroup *g);

#endif
