/* The monitor: parent of one container's init and of its exec'd processes, from the fork by the launcher until the daemon has its exit. */
#ifndef GANTRY_MONITOR_H
#define GANTRY_MONITOR_H
#include "cgroup.h"
#include "channel.h"
#include "jsonlog.h"
#include "spawn.h"
#include "streams.h"

/* The START frame after its version and before what to keep and its plan; the texts point into the slot. */
struct start {
	const char *id;
	uint32_t attachments, stdin_mode, terminal;
	const char *exit_file, *log_path; /* log_path "": no log */
	uint64_t log_max_size;
	uint32_t log_max_files;
	struct cgroup cgroup;
};

/* Shared with the launcher, which ends the container by it when the monitor dies. */
struct slot {
	volatile pid_t init; /* 0: not yet, or reaped */
	volatile bool reaped, recorded;
	volatile uint32_t code;
	volatile uint64_t at_ns;
	uint32_t length;
	uint8_t bytes[8192]; /* what `start` points into */
};

/* Takes version and fields; the rest is what to keep (kept.h) and the plan. */
bool start_take(struct cursor *c, struct start *start);

struct exec {
	struct exec *next;
	char id[65];
	struct process process;
	struct stdio io;
	int fd; /* its connection until it is started */
	uint32_t wants, request, code;
	bool ended, acknowledged;
	struct plan plan;
	uint8_t *bytes; /* what the plan points into */
};

struct monitor {
	struct start start;
	struct slot *slot;
	enum { STARTING, RUNNING, ENDING, PARTING, REMOVING, ENDED } state;
	struct plan plan;
	struct process init, farewell;
	int init_pidfd;
	uint64_t started_ns, start_ticks;
	struct stdio io;
	struct jsonlog log;
	struct channel *control; /* NULL: no daemon */
	uint32_t owed; /* request that is answered when the start is decided; valid with owes */
	bool owes, owes_status, released, oom_killed;
	struct exec *execs;
	struct source listener, signals;
	int64_t next_tick, give_up; /* of ENDING, PARTING and REMOVING */
	uint64_t told_size, told_lost;
	uint32_t told_generation;
	int64_t next_log;
};
extern struct monitor monitor;

struct attachment {
	int fd;
	uint32_t wants, request;
};
_Noreturn void monitor_main(struct slot *slot, int control, uint32_t request, const struct attachment *attachments, const uint8_t *rest, size_t length);
/* After a report or SIGCHLD: whoever has ended. */
void monitor_reap(void);
void close_door(void);
/* ATTACH_* that a client may have: a terminal takes input only when stdin was asked for. */
uint32_t attachable(void);
void socket_name(char name[32], const char *id); /* relative to the exec root */

/* control.c */
void on_listener(struct source *s, uint32_t events);
void control_adopt(int fd);
void control_send(struct frame *f);
void control_drop(void);
void tell_paused(void); /* its number may come, from the middle process, after it paused */
void send_status(uint32_t request);
void send_exec_exit(const struct exec *e);
void send_exited(void);
void send_attached(int fd, uint32_t request);
void send_start_failed(struct frame *f, uint32_t request, const struct failure *failure);
void exec_ended(struct exec *e);
void execs_sweep(void);
void exec_decided(struct exec *e);

#endif
