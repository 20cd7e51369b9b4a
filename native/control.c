/* The monitor's connections: requests of the daemon, streams, execs. */
#include "monitor.h"
#include "files.h"
#include "kept.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void on_control(struct source *s, uint32_t events);

/* Without a daemon nobody runs what the container waits for. */
static int go_on(bool wanted) {
	struct process *init = &monitor.init;
	if (!init->paused || !init->pid) return EINVAL;
	init->paused = false;
	return (wanted ? write(init->report.fd, "", 1) == 1 : kill(init->pid, SIGKILL) == 0) ? 0 : errno;
}

void tell_paused(void) {
	struct frame f;
	if (!monitor.init.paused || !monitor.init.pid) return;
	if (!monitor.control) go_on(false);
	if (!monitor.owes) return;
	monitor.owes = false;
	frame_begin(&f, MSG_PAUSED, monitor.owed);
	put_u32(&f, (uint32_t)monitor.init.pid);
	control_send(&f);
}

/* --- what we tell --- */

void control_drop(void) {
	if (!monitor.control) return;
	channel_close(monitor.control);
	free(monitor.control);
	monitor.control = NULL;
	monitor.owes = false;
	go_on(false);
}

void control_send(struct frame *f) {
	if (!monitor.control) frame_free(f);
	else if (!channel_send(monitor.control, f)) control_drop();
}

void send_exec_exit(const struct exec *e) {
	struct frame f;
	frame_begin(&f, MSG_EXEC_EXIT, 0);
	put_text(&f, e->id);
	put_u32(&f, e->code);
	control_send(&f);
}

static void put_exit(struct frame *f) {
	put_u32(f, monitor.slot->code);
	put_u64(f, monitor.slot->at_ns);
	put_u32(f, monitor.oom_killed);
	put_text(f, "");
}

void send_exited(void) {
	struct frame f;
	frame_begin(&f, MSG_EXITED, 0);
	put_exit(&f);
	control_send(&f);
}

/* u32 version, u32 pid, u64 start ticks, u64 started ns, u32 ended, the fields of EXITED, those of LOG, u32 terminal, execs: u32 count, each text id, u32 pid, u32 ended,
 * u32 code, kept (from version 2 on) */
void send_status(uint32_t request) {
	struct frame f;
	uint32_t count = 0;
	frame_begin(&f, MSG_STATUS, request);
	put_u32(&f, PROTOCOL_VERSION);
	put_u32(&f, (uint32_t)monitor.init.pid);
	put_u64(&f, monitor.start_ticks);
	put_u64(&f, monitor.started_ns);
	put_u32(&f, monitor.state == ENDED);
	put_exit(&f);
	put_u32(&f, monitor.log.generation);
	put_u64(&f, monitor.log.size);
	put_u64(&f, monitor.log.lost);
	put_u32(&f, monitor.start.terminal);
	for (struct exec *e = monitor.execs; e; e = e->next) count += e->process.state == PROCESS_RUNNING && !e->acknowledged;
	put_u32(&f, count);
	for (struct exec *e = monitor.execs; e; e = e->next) {
		if (e->process.state != PROCESS_RUNNING || e->acknowledged) continue;
		put_text(&f, e->id);
		put_u32(&f, (uint32_t)e->process.pid);
		put_u32(&f, e->ended);
		put_u32(&f, e->code);
	}
	put_kept(&f);
	control_send(&f);
}

/* On a connection that turns raw after it: the socket is fresh, so it takes the few bytes. */
static bool send_directly(int fd, struct frame *f) {
	frame_end(f);
	bool sent = send(fd, f->bytes, f->length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)f->length;
	frame_free(f);
	return sent;
}

void send_attached(int fd, uint32_t request) {
	struct frame f;
	frame_begin(&f, MSG_ATTACHED, request);
	put_u32(&f, monitor.start.terminal);
	send_directly(fd, &f);
}

void send_start_failed(struct frame *f, uint32_t request, const struct failure *failure) {
	frame_begin(f, MSG_START_FAILED, request);
	put_u32(f, failure->phase);
	put_u32(f, failure->index);
	put_u32(f, failure->error);
	put_u32(f, failure->detail);
	put_text(f, failure->said);
}

/* --- execs --- */

static struct exec *exec_find(const char *id) {
	struct exec *e = monitor.execs;
	while (e && strcmp(e->id, id)) e = e->next;
	return e;
}

/* Ended: its exit goes out before its stream ends. What a child in the background still writes is nobody's any more. */
void exec_ended(struct exec *e) {
	e->code = process_code(&e->process);
	e->ended = true;
	stdio_drain(&e->io);
	send_exec_exit(e);
	stdio_end(&e->io);
}

static void exec_free(struct exec *e) {
	struct exec **at = &monitor.execs;
	while (*at != e) at = &(*at)->next;
	*at = e->next;
	if (e->fd >= 0) close(e->fd);
	free(e->bytes);
	free(e);
}

void execs_sweep(void) {
	for (struct exec *e = monitor.execs, *next; e; e = next) {
		next = e->next;
		if (e->ended && (e->acknowledged || monitor.released) && !e->io.clients) exec_free(e);
	}
}

static void exec_failed(struct exec *e) {
	struct frame f;
	send_start_failed(&f, e->request, &e->process.failure);
	send_directly(e->fd, &f);
	stdio_drain(&e->io);
	exec_free(e);
}

static void on_exec_report(struct source *s, uint32_t events) {
	struct exec *e = OWNER(s, struct exec, process.report);
	int master;
	(void)events;
	process_read_report(&e->process, &master);
	if (master >= 0) stdio_set_terminal(&e->io, master);
	exec_decided(e);
}

void exec_decided(struct exec *e) {
	struct frame f;
	if (e->process.state == PROCESS_FAILED) return exec_failed(e);
	if (e->process.state != PROCESS_RUNNING) return;
	frame_begin(&f, MSG_EXEC_STARTED, e->request);
	put_u32(&f, (uint32_t)e->process.pid);
	bool sent = send_directly(e->fd, &f);
	e->io.held = false;
	stdio_flow(&e->io);
	if (sent && e->wants) stdio_attach(&e->io, e->fd, e->wants, false);
	else close(e->fd);
	e->fd = -1;
	monitor_reap();
}

/* 0, or the errno of a refusal. The connection is the exec's from then on. */
static int exec_start(struct cursor *c, uint32_t request, int fd) {
	int child[3];
	take_u32(c);
	const char *id = take_text(c);
	uint32_t wants = take_u32(c), terminal = take_u32(c);
	if (c->bad || !is_id(id)) return EBADMSG;
	if (monitor.state != RUNNING) return ESRCH;
	if (exec_find(id)) return EEXIST;
	size_t length = (size_t)(c->end - c->at);
	struct exec *e = calloc(1, sizeof *e);
	if (!e || !(e->bytes = malloc(length + 1))) abort();
	memcpy(e->bytes, c->at, length);
	if (!plan_parse(e->bytes, length, &e->plan)) {
		free(e->bytes);
		free(e);
		return EBADMSG;
	}
	memcpy(e->id, id, sizeof e->id);
	e->wants = wants;
	e->request = request;
	e->fd = fd;
	e->io.input_ends = e->io.held = true;
	e->next = monitor.execs;
	monitor.execs = e;
	if (stdio_open(&e->io, terminal ? 0 : wants, child)) e->process.failure = (struct failure){PHASE_MONITOR, SETUP_PIPES, (uint32_t)errno, 0, ""};
	else process_spawn(&e->process, &e->plan, child, monitor.init_pidfd, on_exec_report);
	e->io.terminal = terminal;
	for (int i = 0; i < 3; i++)
		if (child[i] >= 0) close(child[i]);
	if (e->process.state != PROCESS_STARTING) exec_failed(e);
	return 0;
}

/* --- requests --- */

static int run_request(uint16_t type, struct cursor *c) {
	if (type == MSG_KILL) {
		int number = (int)take_u32(c);
		bool all = take_u32(c);
		if (monitor.state != RUNNING) return ESRCH;
		if (!all) return sys_pidfd_send_signal(monitor.init_pidfd, number) ? errno : 0;
		return (number == 9 ? cgroup_kill(&monitor.start.cgroup) : cgroup_signal(&monitor.start.cgroup, number)) ? errno : 0;
	}
	if (type == MSG_RESIZE) {
		const char *id = take_text(c);
		struct exec *e = *id ? exec_find(id) : NULL;
		uint32_t rows = take_u32(c), columns = take_u32(c);
		if (*id && !e) return ESRCH;
		return stdio_resize(e ? &e->io : &monitor.io, rows, columns) ? errno : 0;
	}
	if (type == MSG_CLOSE_STDIN) {
		stdio_close_input(&monitor.io);
		return 0;
	}
	if (type == MSG_EXEC_ACK) {
		struct exec *e = exec_find(take_text(c));
		if (!e || !e->ended) return ESRCH;
		e->acknowledged = true;
		return 0;
	}
	if (type == MSG_RELEASE) {
		if (monitor.state != ENDED) return EBUSY;
		monitor.released = true;
		kept_replace((struct list){0}, -1);
		close_door();
		return 0;
	}
	return ENOSYS;
}

/* KEEP is the one request whose reply says more than OK. */
static int keep(struct channel *channel, struct cursor *c, bool *replied) {
	struct list list;
	struct frame f;
	int error = kept_list(c, &list) ? kept_replace(list, channel->source.fd) : EBADMSG;
	if (error) return error;
	frame_begin(&f, MSG_KEPT, channel->header.request);
	put_kept(&f);
	*replied = true;
	return channel_send(channel, &f) ? 0 : EPIPE;
}

/* GO_ON is answered when the start is decided. */
static int answer_pause(struct channel *c, struct cursor *payload, bool *replied) {
	if (!monitor.init.paused) return EINVAL;
	monitor.owes = *replied = true;
	monitor.owed = c->header.request;
	return go_on(take_u32(payload));
}

static void on_control(struct source *s, uint32_t events) {
	struct channel *c = OWNER(s, struct channel, source);
	if ((events & EPOLLOUT) && !channel_flush(c)) return control_drop();
	for (int got; (got = channel_read(c)) != CHANNEL_WAIT;) {
		if (got == CHANNEL_CLOSED) return control_drop();
		struct cursor payload = channel_payload(c);
		bool replied = false;
		uint16_t type = c->header.type;
		uint32_t request = c->header.request;
		int error = type == MSG_KEEP ? keep(c, &payload, &replied) : type == MSG_GO_ON ? answer_pause(c, &payload, &replied) : run_request(type, &payload);
		channel_next(c);
		if (replied ? error : !channel_reply(c, request, payload.bad ? EBADMSG : error)) return control_drop();
	}
}

static struct channel *channel_make(int fd, void (*ready)(struct source *, uint32_t)) {
	struct channel *c = calloc(1, sizeof *c);
	if (!c) abort();
	loop_add(&c->source, fd, EPOLLIN, ready);
	return c;
}

/* The newest daemon wins. */
void control_adopt(int fd) {
	bool owes = monitor.owes;
	control_drop();
	monitor.owes = owes;
	monitor.control = channel_make(fd, on_control);
}

static void become_control(int fd, uint32_t request) {
	control_adopt(fd);
	monitor.owes_status = true;
	monitor.owed = request;
	monitor.owes = monitor.state == STARTING;
	if (monitor.state != STARTING) send_status(request);
}

/* The first frame says what a connection is. */
static void on_newcomer(struct source *s, uint32_t events) {
	struct channel *c = OWNER(s, struct channel, source);
	(void)events;
	int got = channel_read(c), error = EPROTO;
	if (got == CHANNEL_WAIT) return;
	if (got == CHANNEL_CLOSED) {
		channel_close(c);
		free(c);
		return;
	}
	int fd = loop_forget(&c->source);
	struct cursor payload = channel_payload(c);
	uint32_t version = take_u32(&payload), request = c->header.request;
	if (version > 0 && c->header.type == MSG_CONTROL) {
		become_control(fd, request);
		error = 0;
	} else if (version > 0 && c->header.type == MSG_ATTACH) {
		uint32_t wants = take_u32(&payload) & attachable();
		error = payload.bad ? EBADMSG : 0;
		if (!error) {
			send_attached(fd, request);
			stdio_attach(&monitor.io, fd, wants, true);
		}
	} else if (version > 0 && c->header.type == MSG_EXEC) {
		struct cursor all = channel_payload(c);
		error = exec_start(&all, request, fd);
	}
	if (error) {
		struct frame f;
		frame_begin(&f, MSG_ERROR, request);
		put_u32(&f, (uint32_t)error);
		send_directly(fd, &f);
		close(fd);
	}
	channel_next(c);
	free(c);
}

void on_listener(struct source *s, uint32_t events) {
	(void)events;
	int fd = accept_peer(s->fd);
	if (fd >= 0) channel_make(fd, on_newcomer);
}
