#include "spawn.h"
#include "files.h"
#include "kept.h"
#include "protocol.h"
#include "setup.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { REPORT_PID, REPORT_MASTER, REPORT_EXEC, REPORT_FAIL, REPORT_PAUSE };
struct report {
	uint32_t kind;
	struct failure failure;
	int32_t pid;
};

static int report_send(const struct report *r) { return write(setup.report, r, sizeof *r) == sizeof *r ? 0 : -1; }
int report_exec(void) { return report_send(&(struct report){.kind = REPORT_EXEC}); }
int report_pause(void) { return report_send(&(struct report){.kind = REPORT_PAUSE}); }

int report_master(int master) {
	struct report r = {.kind = REPORT_MASTER};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {&r, sizeof r};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &master, sizeof master);
	return sendmsg(setup.report, &message, MSG_NOSIGNAL) == sizeof r ? 0 : -1;
}

static _Noreturn void fail(uint32_t phase, uint32_t index) {
	struct report r = {.kind = REPORT_FAIL, .failure = {phase, index, (uint32_t)errno, setup.detail, ""}};
	memcpy(r.failure.said, setup.said, SAID_SIZE);
	if (setup.hook) dprintf(2, "%s\n", strerror(errno)); /* the child that runs it tells */
	else report_send(&r);
	_exit(127);
}

static void run_steps(struct list steps, uint32_t phase) {
	struct cursor c = list_cursor(steps);
	struct step step, following;
	for (uint32_t i = 0; i < steps.count; i++) {
		step_take(&c, &step);
		struct cursor ahead = c;
		if (i + 1 < steps.count) step_take(&ahead, &following);
		/* A filter right before the exec then needs to allow nothing but execve. */
		bool last_filter = step.code == STEP_SECCOMP && i + 1 < steps.count && following.code == STEP_EXEC;
		if (last_filter && exec_prepare(&following)) fail(phase, i + 1);
		if (step_run(&step)) fail(phase, i);
	}
}

/* Common to middle and child: nothing of the monitor's but what is needed, and nobody in the container may look at us. */
static void become_child(int report, const int stdio[3], int init_pidfd, int cgroup) {
	setup = (struct setup){.root = -1, .report = report, .user_namespace = -1};
	for (int fd = 0; fd < 3; fd++) dup2(stdio[fd], fd);
	int keep[] = {report, init_pidfd, cgroup};
	close_all_but(keep, 3);
	kept_restore_limit();
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	reset_signals();
	umask(0);
}

static pid_t clone_child(const struct plan *plan, int cgroup, uint64_t extra) {
	struct kernel_clone_args args = {.flags = plan->clone_flags | extra, .exit_signal = extra ? 0 : SIGCHLD};
	if (cgroup >= 0) {
		args.flags |= KERNEL_CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	return sys_clone3(&args);
}

static _Noreturn void run_child(const struct plan *plan) {
	setsid();
	run_steps(plan->steps, PHASE_STEP);
	_exit(127); /* not reached: the last step is exec */
}

/* Enters the namespaces and clones the child as a child of the monitor: a joined PID namespace only holds for children. */
static _Noreturn void run_middle(const struct plan *plan, int init_pidfd, int cgroup) {
	run_steps(plan->before, PHASE_BEFORE);
	struct cursor c = list_cursor(plan->joins);
	struct join join;
	for (uint32_t i = 0; i < plan->joins.count; i++) {
		join_take(&c, &join);
		int fd = join.kind == JOIN_INIT ? init_pidfd : open(join.path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, (int)join.nstypes)) fail(PHASE_JOIN, i);
		if (join.kind == JOIN_PATH) close(fd);
	}
	pid_t pid = clone_child(plan, cgroup, KERNEL_CLONE_PARENT);
	if (pid < 0) fail(PHASE_CLONE, 0);
	if (pid == 0) {
		int keep[] = {setup.report};
		close_all_but(keep, 1);
		run_child(plan);
	}
	report_send(&(struct report){.kind = REPORT_PID, .pid = pid});
	_exit(0);
}

static void fail_here(struct process *p, uint32_t phase, uint32_t index) {
	p->failure = (struct failure){phase, index, (uint32_t)errno, DETAIL_NONE, ""};
	p->state = PROCESS_FAILED;
}

void process_spawn(struct process *p, const struct plan *plan, const int stdio[3], int init_pidfd, void (*ready)(struct source *, uint32_t)) {
	int pair[2], cgroup = -1;
	*p = (struct process){.state = PROCESS_STARTING, .report = {.fd = -1, .ready = ready}, .plan = plan, .console.fd = -1, .master = -1};
	if (takeover_begin(p)) return fail_here(p, PHASE_MONITOR, SETUP_PIPES);
	if (*plan->cgroup2 && (cgroup = open(plan->cgroup2, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) return fail_here(p, PHASE_MONITOR, SETUP_CGROUP);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		fail_here(p, PHASE_MONITOR, SETUP_PIPES);
	} else {
		bool joins = plan->joins.count > 0;
		pid_t pid = joins ? fork() : clone_child(plan, cgroup, 0);
		if (pid == 0) {
			become_child(pair[1], stdio, init_pidfd, joins ? cgroup : -1);
			if (joins) run_middle(plan, init_pidfd, cgroup);
			run_child(plan);
		}
		if (pid < 0) fail_here(p, PHASE_CLONE, 0);
		*(joins ? &p->middle : &p->pid) = pid < 0 ? 0 : pid;
		close(pair[1]);
		if (pid < 0) close(pair[0]);
		else loop_add(&p->report, pair[0], EPOLLIN, ready);
	}
	if (cgroup >= 0) close(cgroup);
}

static void take_report(struct process *p, const struct report *r) {
	if (r->kind == REPORT_PID) p->pid = r->pid;
	if (r->kind == REPORT_EXEC) p->execing = true;
	if (r->kind == REPORT_PAUSE) p->paused = true;
	if (r->kind == REPORT_FAIL) {
		p->failure = r->failure;
		p->failed = true;
	}
}

static void conclude(struct process *p) {
	loop_close(&p->report);
	if (p->middle) waitpid(p->middle, NULL, 0);
	p->middle = 0;
	if (p->execing && !p->failed) {
		p->state = *p->plan->pid_file ? PROCESS_HELPED : PROCESS_RUNNING;
		return;
	}
	if (p->pid) waitpid(p->pid, &p->status, 0);
	p->reaped = true;
	if (!p->failed) p->failure = (struct failure){PHASE_DIED, 0, (uint32_t)p->status, DETAIL_NONE, ""};
	p->state = PROCESS_FAILED;
}

void process_read_report(struct process *p, int *master) {
	*master = p->master;
	p->master = -1;
	while (p->report.fd >= 0) {
		struct report r;
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = {&r, sizeof r};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
		ssize_t n = recvmsg(p->report.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno == EAGAIN) return;
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
		if (c && c->cmsg_type == SCM_RIGHTS) memcpy(master, CMSG_DATA(c), sizeof *master);
		if (n != sizeof r) return conclude(p);
		take_report(p, &r);
	}
}

bool process_reap(struct process *p) {
	if (p->state != PROCESS_RUNNING || p->reaped) return false;
	p->reaped = waitpid(p->pid, &p->status, WNOHANG) == p->pid;
	return p->reaped;
}

uint32_t process_code(const struct process *p) {
	return (uint32_t)(WIFSIGNALED(p->status) ? 128 + WTERMSIG(p->status) : WEXITSTATUS(p->status));
}
