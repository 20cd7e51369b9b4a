/*
 * From a plan to a process. Parent and child share a SOCK_SEQPACKET pair whose child end closes at execve:
 *
 *   child ──PID──▶ (from the middle process)  ──MASTER + descriptor──▶  ──EXEC──▶ execve ──end──▶   running
 *                                             ──FAIL phase, index, errno, detail──▶     ──end──▶   failed
 *                                             ──PAUSE──▶ ◀──one byte──                  goes on; the end instead: failed
 *   an end without EXEC or FAIL: the child was killed in set-up
 *
 * With a pid file in the plan (takeover.c) what runs then is a program of an OCI runtime, which makes the process and ends:
 *
 *   helped ──ends with 0, [follow] ends with 0──▶ running, as the process in the pid file, which is our child by then      helped ──else──▶ failed
 */
#ifndef GANTRY_SPAWN_H
#define GANTRY_SPAWN_H
#include "loop.h"
#include "plan.h"

#define SAID_SIZE 1024
struct failure {
	uint32_t phase, index, error, detail;
	char said[SAID_SIZE]; /* the last words of a hook that failed */
};
enum process_state { PROCESS_NONE, PROCESS_STARTING, PROCESS_HELPED, PROCESS_RUNNING, PROCESS_FAILED };

struct process {
	enum process_state state;
	pid_t pid, middle; /* 0: none (yet) */
	bool execing, failed, reaped; /* the first two as reported; the state changes when the report has ended */
	bool paused; /* waits for a byte */
	int status; /* as waitpid gives it, once reaped */
	struct failure failure;
	struct source report;
	/* While it is helped. */
	const struct plan *plan;
	pid_t taken;    /* 0: not yet */
	uint32_t stage; /* 0: the plan's program, 1: `follow` */
	int64_t deadline;
	struct source console;
	int master; /* from the console socket, until it is read; -1: none */
};

/* Clones; `stdio` become 0, 1, 2 of the child. On failure the state is PROCESS_FAILED. The plan must live as long as the call; one with a pid file, until the
 * process is decided. */
void process_spawn(struct process *p, const struct plan *plan, const int stdio[3], int init_pidfd, void (*ready)(struct source *, uint32_t));
/* Takes what the child has reported. `master` becomes the terminal's descriptor or -1. */
void process_read_report(struct process *p, int *master);

/* takeover.c: after SIGCHLD, and when the deadline is over. True once, when it is decided: running or failed. */
bool process_help(struct process *p);
/* What the runtime's program and the process hand over; nothing for a plan without. */
int takeover_begin(struct process *p);
int64_t takeover_deadline(const struct process *p); /* -1: none */
/* Children that nobody asked for: those of a process which we took over. `ours` says which are. */
void takeover_reap(bool (*ours)(pid_t));

/* True once, when the process has ended (after it was running). */
bool process_reap(struct process *p);
/* 0-255: the exit code, or 128 + signal. */
uint32_t process_code(const struct process *p);

#endif
