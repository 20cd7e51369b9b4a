/*
 * gantry-launcher --exec-root DIR [--cgroup-tasks FILE]...
 *
 * Resident, one per exec root, in its own session and control group; outlives the daemon. Forks a monitor per container (no exec: the pages are shared) and
 * ends a container whose monitor died. Leaves when it has neither a monitor nor a daemon.
 */
#include "files.h"
#include "monitor.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FIRST_DAEMON_MS 30000
#define ORPHAN_MS 10000

enum role { NEWCOMER, DAEMON, PARKED, STARTER };
struct connection {
	struct channel channel;
	struct connection *next;
	enum role role;
	char id[65]; /* PARKED, STARTER; DAEMON: awaited, or "" */
	uint32_t index, wants, request;
};

struct child {
	struct child *next;
	pid_t monitor; /* 0: dead, the container is being ended */
	struct slot *slot;
	struct start start;
	int64_t give_up;
};

static struct connection *connections;
static struct child *children;
static struct source listener, signals;
static int lock_fd = -1;
static bool draining;

/* --- becoming what nobody can overwrite --- */

/* A container that gets hold of /proc/PID/exe of a process of ours finds a sealed copy (CVE-2019-5736). */
static void run_from_memory(char **argv) {
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (self < 0 || fstat(self, &st)) return perror("gantry-launcher: cannot open itself"), exit(1);
	if (fcntl(self, F_GET_SEALS) > 0) {
		close(self);
		return;
	}
	int copy = memfd_create("gantry-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING | KERNEL_MFD_EXEC);
	if (copy < 0) copy = memfd_create("gantry-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* before 6.3 */
	off_t at = 0;
	while (copy >= 0 && at < st.st_size && sendfile(copy, self, &at, (size_t)(st.st_size - at)) > 0) {}
	if (copy < 0 || at != st.st_size || fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)) {
		perror("gantry-launcher: cannot copy itself to sealed memory");
		exit(1);
	}
	char *const env[] = {NULL};
	syscall(SYS_execveat, copy, "", argv, env, AT_EMPTY_PATH);
	perror("gantry-launcher: cannot execute its copy in sealed memory");
	exit(1);
}

/* --- connections --- */

static void connection_free(struct connection *c) {
	struct connection **at = &connections;
	while (*at != c) at = &(*at)->next;
	*at = c->next;
	channel_close(&c->channel);
	free(c);
}

/* One whose exit is still to be recorded; after that the container may start again while its old monitor serves a slow client. */
static struct child *child_find(const char *id) {
	struct child *child = children;
	while (child && (child->slot->recorded || strcmp(child->start.id, id))) child = child->next;
	return child;
}

static uint32_t count_children(void) {
	uint32_t n = 0;
	for (struct child *child = children; child; child = child->next) n++;
	return n;
}

static void refuse(struct connection *c, int error) {
	struct frame f;
	if (c->channel.header.type == MSG_START) send_start_failed(&f, c->channel.header.request, &(struct failure){PHASE_MONITOR, SETUP_FORK, (uint32_t)error, 0, ""});
	else {
		frame_begin(&f, MSG_ERROR, c->channel.header.request);
		put_u32(&f, (uint32_t)error);
	}
	channel_send(&c->channel, &f);
	connection_free(c);
}

/* --- starting --- */

static struct connection *parked_find(const char *id, uint32_t index) {
	struct connection *c = connections;
	while (c && !(c->role == PARKED && c->index == index && !strcmp(c->id, id))) c = c->next;
	return c;
}

/* The fields of the START frame into a slot, where they outlive the frame. */
static struct child *child_make(const struct cursor *payload, const struct cursor *rest) {
	struct child *child = calloc(1, sizeof *child);
	size_t length = (size_t)(rest->at - payload->at);
	if (!child || length > sizeof child->slot->bytes) return free(child), NULL;
	child->slot = mmap(NULL, sizeof *child->slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child->slot == MAP_FAILED) return free(child), NULL;
	child->slot->length = (uint32_t)length;
	memcpy(child->slot->bytes, payload->at, length);
	struct cursor c = {.at = child->slot->bytes, .end = child->slot->bytes + length};
	start_take(&c, &child->start);
	return child;
}

static void child_free(struct child *child) {
	struct child **at = &children;
	while (*at && *at != child) at = &(*at)->next;
	if (*at) *at = child->next;
	munmap(child->slot, sizeof *child->slot);
	free(child);
}

static _Noreturn void become_monitor(struct slot *slot, struct connection *c, struct attachment *attachments, uint32_t count, const struct cursor *rest) {
	int keep[MAX_ATTACHMENTS + 1] = {c->channel.source.fd};
	for (uint32_t i = 0; i < count; i++) keep[i + 1] = attachments[i].fd;
	int control = keep[0];
	close_all_but(keep, count + 1);
	size_t length = (size_t)(rest->end - rest->at);
	uint8_t *bytes = malloc(length + 1);
	if (!bytes) abort();
	memcpy(bytes, rest->at, length);
	channel_next(&c->channel);
	monitor_main(slot, control, c->channel.header.request, attachments, bytes, length);
}

/* Forks as soon as all parked streams are there; until then the START waits in its connection. */
static void try_start(struct connection *c) {
	struct attachment attachments[MAX_ATTACHMENTS];
	struct connection *parked[MAX_ATTACHMENTS];
	struct cursor payload = channel_payload(&c->channel), rest = payload;
	struct start start;
	if (!start_take(&rest, &start)) return refuse(c, EBADMSG);
	memcpy(c->id, start.id, sizeof c->id);
	if (child_find(c->id)) return refuse(c, EEXIST);
	for (uint32_t i = 0; i < start.attachments; i++) {
		if (!(parked[i] = parked_find(c->id, i))) return;
		attachments[i] = (struct attachment){parked[i]->channel.source.fd, parked[i]->wants, parked[i]->request};
	}
	struct child *child = child_make(&payload, &rest);
	if (!child) return refuse(c, E2BIG);
	pid_t pid = fork();
	if (pid == 0) become_monitor(child->slot, c, attachments, start.attachments, &rest);
	if (pid < 0) {
		child_free(child);
		return refuse(c, EAGAIN);
	}
	child->monitor = pid;
	child->next = children;
	children = child;
	for (uint32_t i = 0; i < start.attachments; i++) connection_free(parked[i]);
	connection_free(c);
}

/* --- frames --- */

static bool reply_hello(struct connection *c) {
	struct frame f;
	frame_begin(&f, MSG_HELLO_OK, c->channel.header.request);
	put_u32(&f, PROTOCOL_VERSION);
	put_u32(&f, (uint32_t)getpid());
	put_u32(&f, count_children());
	return channel_send(&c->channel, &f);
}

static void drain(void) {
	if (draining) return;
	draining = true;
	loop_close(&listener);
	unlink("launcher.sock");
	close(lock_fd);
}

/* False: the connection is freed. */
static bool on_daemon_frame(struct connection *c, struct cursor *payload) {
	uint16_t type = c->channel.header.type;
	uint32_t request = c->channel.header.request;
	const char *id = type == MSG_AWAIT_GONE ? take_text(payload) : "";
	int error = type == MSG_DRAIN || type == MSG_AWAIT_GONE ? 0 : ENOSYS;
	if (payload->bad || (type == MSG_AWAIT_GONE && !is_id(id))) error = EBADMSG;
	if (type == MSG_DRAIN) drain();
	if (!error && type == MSG_AWAIT_GONE && child_find(id)) {
		/* Answered from child_gone, over a note beside the connections. */
		struct connection *note = calloc(1, sizeof *note);
		if (!note) abort();
		*note = (struct connection){.role = DAEMON, .request = request, .channel.source.fd = c->channel.source.fd, .next = c->next};
		memcpy(note->id, id, sizeof note->id);
		c->next = note;
		return true;
	}
	if (channel_reply(&c->channel, request, error)) return true;
	return false;
}

/* False: no more to be read here (parked, handed over or gone). */
static bool on_frame(struct connection *c) {
	struct cursor payload = channel_payload(&c->channel);
	uint16_t type = c->channel.header.type;
	if (c->role == DAEMON) {
		bool alive = on_daemon_frame(c, &payload);
		channel_next(&c->channel);
		return alive;
	}
	uint32_t version = take_u32(&payload);
	if (version == 0 || payload.bad) return refuse(c, EPROTO), false;
	if (type == MSG_HELLO) {
		c->role = DAEMON;
		bool alive = reply_hello(c);
		channel_next(&c->channel);
		return alive;
	}
	/* From here on only a hang-up is of interest: the bytes that follow are the monitor's. */
	loop_want(&c->channel.source, 0);
	if (type == MSG_START) {
		c->role = STARTER;
		try_start(c);
		return false;
	}
	const char *id = take_text(&payload);
	c->index = take_u32(&payload);
	c->wants = take_u32(&payload);
	c->request = c->channel.header.request;
	if (type != MSG_PARK || payload.bad || !is_id(id)) return refuse(c, EPROTO), false;
	memcpy(c->id, id, sizeof c->id);
	c->role = PARKED;
	struct connection *starter = connections;
	while (starter && !(starter->role == STARTER && !strcmp(starter->id, c->id))) starter = starter->next;
	if (starter) try_start(starter);
	return false;
}

static void forget_notes(int fd) {
	for (struct connection **at = &connections, *c; (c = *at);) {
		if (c->role == DAEMON && *c->id && c->channel.source.fd == fd) {
			*at = c->next;
			free(c);
		} else {
			at = &c->next;
		}
	}
}

static void connection_gone(struct connection *c) {
	if (c->role == DAEMON) forget_notes(c->channel.source.fd);
	connection_free(c);
}

static void on_connection(struct source *s, uint32_t events) {
	struct connection *c = OWNER(OWNER(s, struct channel, source), struct connection, channel);
	if (c->role == PARKED || c->role == STARTER) return connection_gone(c);
	if ((events & EPOLLOUT) && !channel_flush(&c->channel)) return connection_gone(c);
	for (int got; (got = channel_read(&c->channel)) != CHANNEL_WAIT;) {
		if (got == CHANNEL_CLOSED) return connection_gone(c);
		bool daemon = c->role == DAEMON || c->channel.header.type == MSG_HELLO;
		if (on_frame(c)) continue;
		if (daemon) connection_gone(c);
		return;
	}
}

static void on_listen(struct source *s, uint32_t events) {
	(void)events;
	int fd = accept_peer(s->fd);
	if (fd < 0) return;
	struct connection *c = calloc(1, sizeof *c);
	if (!c) abort();
	c->next = connections;
	connections = c;
	loop_add(&c->channel.source, fd, EPOLLIN, on_connection);
}

/* --- monitors that end --- */

static void child_gone(struct child *child) {
	for (struct connection **at = &connections, *note; (note = *at);) {
		if (note->role != DAEMON || strcmp(note->id, child->start.id)) {
			at = &note->next;
			continue;
		}
		struct connection *c = connections;
		while (c == note || c->channel.source.fd != note->channel.source.fd) c = c->next;
		/* A daemon that takes no reply is noticed by its own connection. */
		channel_reply(&c->channel, note->request, 0);
		*at = note->next;
		free(note);
	}
	child_free(child);
}

/* The monitor died and took the pipes with it: its container is killed, and that is recorded. */
static void end_orphan(struct child *child) {
	struct slot *slot = child->slot;
	if (!slot->recorded) {
		bool alive = !cgroup_empty(&child->start.cgroup);
		if (alive) cgroup_kill(&child->start.cgroup);
		if (slot->init) kill(slot->init, SIGKILL);
		if ((alive || slot->init) && loop_now() < child->give_up) return;
		char name[32];
		socket_name(name, child->start.id);
		unlink(name);
		exit_record(child->start.exit_file, slot->reaped ? slot->code : 137, slot->reaped ? slot->at_ns : time_ns(),
			cgroup_oom_killed(&child->start.cgroup), slot->reaped ? "" : "monitor died");
		slot->recorded = true;
	}
	if (cgroup_remove(&child->start.cgroup) || loop_now() >= child->give_up) child_gone(child);
}

static void on_child_signal(struct source *s, uint32_t events) {
	struct signalfd_siginfo info;
	(void)events;
	while (read(s->fd, &info, sizeof info) > 0) {}
	for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
		for (struct child *child = children, *next; child; child = next) {
			next = child->next;
			if (child->monitor == 0 && child->slot->init == pid) child->slot->init = 0;
			if (child->monitor != pid) continue;
			child->monitor = 0;
			child->give_up = loop_now() + ORPHAN_MS;
			if (child->slot->recorded && cgroup_empty(&child->start.cgroup)) child_gone(child);
		}
	}
}

/* --- the whole --- */

static void fail(const char *what, const char *path) {
	fprintf(stderr, "gantry-launcher: cannot %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static void take_place(const char *exec_root) {
	if (chdir(exec_root)) fail("enter", exec_root); /* relative names from here: a socket's path holds 108 bytes */
	if (mkdir("m", 0700) && errno != EEXIST) fail("make", "m");
	lock_fd = open("launcher.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd < 0) fail("open", "launcher.lock");
	if (flock(lock_fd, LOCK_EX | LOCK_NB)) exit(EXIT_LOCK_HELD);
	int fd = listen_unix("launcher.sock");
	if (fd < 0) fail("listen on", "launcher.sock");
	loop_open();
	loop_add(&listener, fd, EPOLLIN, on_listen);
	sigset_t set;
	reset_signals();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	loop_add(&signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), EPOLLIN, on_child_signal);
}

static void detach(void) {
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0) fail("open", "/dev/null");
	/* Whoever started us waits for this line, then for the end of the pipe. */
	if (write(1, "ready\n", 6) < 0) {}
	for (int fd = 0; fd < 2; fd++) dup2(null, fd);
	close(null);
}

int main(int argc, char **argv) {
	const char *exec_root = NULL;
	run_from_memory(argv);
	int none[1] = {-1};
	close_all_but(none, 1);
	umask(0077);
	setsid();
	prctl(PR_SET_NAME, "gantry-launcher", 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (int i = 1; i < argc; i += 2) {
		const char *value = argv[i + 1];
		if (value && !strcmp(argv[i], "--exec-root")) exec_root = value;
		else if (value && !strcmp(argv[i], "--cgroup-tasks")) {
			if (write_file(value, "0", 0)) fail("join the control group", value);
		} else {
			fprintf(stderr, "usage: gantry-launcher --exec-root DIR [--cgroup-tasks FILE]...\n");
			return 2;
		}
	}
	if (!exec_root) return fprintf(stderr, "gantry-launcher: --exec-root is missing\n"), 2;
	take_place(exec_root);
	detach();
	int64_t patience = loop_now() + FIRST_DAEMON_MS;
	bool seen = false;
	while (!seen || connections || children) {
		bool orphans = false;
		for (struct child *child = children, *next; child; child = next) {
			next = child->next;
			orphans |= child->monitor == 0;
			if (child->monitor == 0) end_orphan(child);
		}
		loop_run(orphans ? loop_now() + 2 : seen ? -1 : patience);
		seen |= connections || loop_now() >= patience;
	}
	if (!draining) unlink("launcher.sock");
	return 0;
}
