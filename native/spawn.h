/*
 * From a plan to a process. Parent and child share a SOCK_SEQPACKET pair whose child end closes at execve:
 *
 *   child ──PID──▶ (from the middle process)  ──MASTER + descriptor──▶  ──EXEC──▶ execve ──end──▶   running
 *                                             ──FAIL phase, index, errno, detail──▶     ──end──▶   failed
 *   an end without EXEC or FAIL: the child was killed in set-up
 */
#ifndef GANTRY_SPAWN_H
#define GANTRY_SPAWN_H
#include "loop.h"
#include "plan.h"

struct failure {
	uint32_t phase, index, error, detail;
};
enum process_state { PROCESS_NONE, PROCESS_STARTING, PROCESS_RUNNING, PROCESS_FAILED };

struct process {
	enum process_state state;
	pid_t pid, middle; /* 0: none (yet) */
	bool execing, failed, reaped; /* the first two as reported; the state changes when the report has ended */
	int status; /* as waitpid gives it, once reaped */
	struct failure failure;
	struct source report;
};

/* Clones; `stdio` become 0, 1, 2 of the child. On failure the state is PROCESS_FAILED. The plan's bytes must live as long as the call. */
void process_spawn(struct process *p, const struct plan *plan, const int stdio[3], int init_pidfd, void (*ready)(struct source *, uint32_t));
/* Takes what the child has reported. `master` becomes the terminal's descriptor or -1. */
void process_read_report(struct process *p, int *master);
/* True once, when the process has ended (after it was running). */
bool process_reap(struct process *p);
/* 0-255: the exit code, or 128 + signal. */
uint32_t process_code(const struct process *p);

#endif
