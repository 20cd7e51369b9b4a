/* The child between clone and execve: its state, and the steps of the plan it carries out. Every step answers 0, or -1 with errno. */
#ifndef GANTRY_SETUP_H
#define GANTRY_SETUP_H
#include "plan.h"
#include "spawn.h"
#include <sys/types.h>

struct setup {
	int root;      /* the new root before `pivot`, else -1 */
	int report;    /* to the monitor, see spawn.h */
	bool filtered; /* a seccomp filter is loaded: no system call beyond what is needed */
	uint32_t detail;
	int user_namespace; /* made and not entered yet, else -1 */
	uid_t owner; /* of files, with a user namespace */
	const struct step *hook; /* this process is to become it, else NULL */
	char said[SAID_SIZE]; /* by the last hook */
	int *trees; /* of `take-tree`, for the binds to come */
	uint32_t tree_count;
};
extern struct setup setup;

int step_run(const struct step *s);

/* root.c: paths of the container. Before `pivot` nothing in them can lead out of the new root. */
int root_open(const char *path, int flags);
/* The same below any directory: absolute paths and links are those of the directory. */
int open_below(int directory, const char *path, int flags);
/* Directory of the last component (O_PATH) and its name, which is never "." or "..". */
int root_parent(const char *path, const char **name, char *buffer, size_t size);
int root_mkdirs(const char *path, mode_t mode, uid_t uid, gid_t gid);

/* mounts.c */
int step_propagation(const struct step *s);
int step_overlay(const struct step *s);
int step_bind_root(const struct step *s);
int step_mount(const struct step *s);
int step_mount_layers(const struct step *s);
int step_memory_file(const struct step *s);
int step_tmpfs_copyup(const struct step *s);
int step_pivot(const struct step *s);
int step_mask(const struct step *s);
int step_readonly(const struct step *s);
int step_readonly_root(const struct step *s);
int mount_over(int tree, const char *path);
int set_attributes(int fd, uint64_t flags, bool recursive);
int set_propagation(int fd, uint64_t propagation);

/* binds.c */
int make_mount_point(const char *path, bool directory);
int step_take_tree(const struct step *s);
int step_bind(const struct step *s);

/* userns.c */
int make_user_namespace(struct list uids, struct list gids); /* a descriptor */
int step_user_namespace(const struct step *s);
int step_own_stdio(const struct step *s);
int step_file_owner(const struct step *s);
int step_enter_user_namespace(const struct step *s);

/* hooks.c */
int step_checkpoint(const struct step *s);
int step_hook(const struct step *s);

/* copyup.c: what is below the directory `from` into the directory `to`. */
int copy_tree(int from, int to, bool with_mode);

/* process-steps.c */
int step_terminal(const struct step *s);
int step_rlimit(const struct step *s);
int step_loopback(void);
int step_bounding(const struct step *s);
int step_seccomp(const struct step *s);
int step_user(const struct step *s);
int step_capabilities(const struct step *s);
int step_chdir(const struct step *s);
/* All of `exec` but the call itself; -1 is an error of the exec step. */
int exec_prepare(const struct step *s);
int step_exec(const struct step *s);
void hide_descriptors(void);

/* spawn.c: messages to the monitor. */
int report_exec(void);
int report_pause(void);
int report_master(int master);

#endif
