/*
 * A process that a program of an OCI runtime makes (`runc create`, `runc exec --detach`): the program is started with the process's own stdio, ends, and leaves the
 * process to us, its subreaper. `follow` then lets it go on (`runc start`). A program that does not end in time is killed with what it has started.
 *
 *   <console> ◀── the runtime connects and sends the terminal's master by SCM_RIGHTS (the OCI runtimes' console socket)
 */
#include "channel.h"
#include "files.h"
#include "protocol.h"
#include "spawn.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>

#define CONSOLE_PATIENCE_S 2

/* --- the terminal --- */

static int receive_descriptor(int connection) {
	char name[256];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {name, sizeof name};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
	struct timeval patience = {.tv_sec = CONSOLE_PATIENCE_S};
	int fd = -1;
	fcntl(connection, F_SETFL, 0);
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static bool is_multiplexer(int fd) {
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2);
}

static void on_console(struct source *s, uint32_t events) {
	struct process *p = OWNER(s, struct process, console);
	(void)events;
	int connection = accept_peer(s->fd);
	if (connection < 0) return;
	int fd = receive_descriptor(connection);
	close(connection);
	if (fd < 0 || !is_multiplexer(fd)) return close_quietly(fd);
	loop_close(&p->console);
	unlink(p->plan->console);
	p->master = fd;
	p->report.ready(&p->report, 0);
}

/* --- the program --- */

int takeover_begin(struct process *p) {
	if (!*p->plan->pid_file) return 0;
	p->deadline = loop_now() + p->plan->patience_ms;
	if (unlink(p->plan->pid_file) && errno != ENOENT) return -1;
	if (!*p->plan->console) return 0;
	int listener = listen_unix(p->plan->console);
	if (listener < 0) return -1;
	loop_add(&p->console, listener, EPOLLIN, on_console);
	return 0;
}

int64_t takeover_deadline(const struct process *p) { return p->state == PROCESS_HELPED ? p->deadline : -1; }

/* The process of the pid file, when it is really a child of ours. */
static pid_t take_pid(const char *pid_file) {
	char text[32];
	siginfo_t info;
	if (read_file(pid_file, text, sizeof text) < 0) return -1;
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	if (pid <= 1) errno = EBADMSG;
	return pid > 1 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? pid : -1;
}

static bool decide(struct process *p, enum process_state state) {
	if (p->console.fd >= 0) {
		loop_close(&p->console);
		unlink(p->plan->console);
	}
	if (state == PROCESS_FAILED && p->taken > 0) kill(p->taken, SIGKILL);
	p->state = state;
	return true;
}

static bool help_failed(struct process *p, uint32_t phase, int error) {
	p->failure = (struct failure){phase, p->stage, (uint32_t)error, DETAIL_NONE, ""};
	return decide(p, PROCESS_FAILED);
}

/* The same process object runs the second program, with nothing for its stdio. */
static bool follow(struct process *p) {
	static struct plan second;
	const struct plan *plan = p->plan;
	pid_t taken = p->taken;
	int master = p->master, null = open("/dev/null", O_RDWR | O_CLOEXEC), stdio[3] = {null, null, null};
	if (null < 0 || !plan_parse(plan->follow.at, plan->follow.count, &second)) {
		close_quietly(null);
		return help_failed(p, PHASE_TAKEOVER, EIO);
	}
	process_spawn(p, &second, stdio, -1, p->report.ready);
	close(null);
	second.pid_file = plan->pid_file;
	second.patience_ms = plan->patience_ms;
	second.follow = (struct list){0};
	p->taken = taken;
	p->master = master;
	p->stage = 1;
	p->deadline = loop_now() + plan->patience_ms;
	return p->state == PROCESS_FAILED ? decide(p, PROCESS_FAILED) : false;
}

bool process_help(struct process *p) {
	int status;
	if (p->state != PROCESS_HELPED) return false;
	pid_t ended = waitpid(p->pid, &status, WNOHANG);
	if (ended != p->pid) {
		if (ended == 0 && loop_now() < p->deadline) return false;
		kill(-p->pid, SIGKILL); /* it leads a session of its own */
		return help_failed(p, PHASE_TAKEOVER, ended == 0 ? ETIMEDOUT : ECHILD);
	}
	if (status) return help_failed(p, PHASE_PROGRAM, status);
	if (p->console.fd >= 0) on_console(&p->console, 0); /* it came with the same round of the loop */
	if (p->console.fd >= 0) return help_failed(p, PHASE_TAKEOVER, ENOTTY);
	if (p->stage == 0 && (p->taken = take_pid(p->plan->pid_file)) < 0) return help_failed(p, PHASE_TAKEOVER, errno);
	if (p->plan->follow.count) return follow(p);
	p->pid = p->taken;
	return decide(p, PROCESS_RUNNING);
}

void takeover_reap(bool (*ours)(pid_t)) {
	siginfo_t info = {0};
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid && !ours(info.si_pid)) {
		waitpid(info.si_pid, NULL, WNOHANG);
		info.si_pid = 0;
	}
}
