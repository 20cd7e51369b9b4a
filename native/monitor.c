#include "monitor.h"
#include "files.h"
#include "kept.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define LOG_NOTICE_MS 10
#define ENDING_MS 10000
#define REMOVING_MS 1000

struct monitor monitor;

void socket_name(char name[32], const char *id) { snprintf(name, 32, "m/%.16s", id); }

/* Before the daemon is told that we leave: the next monitor of this container may bind the name right after. */
void close_door(void) {
	char name[32];
	socket_name(name, monitor.start.id);
	if (monitor.listener.fd >= 0) unlink(name);
	loop_close(&monitor.listener);
}

/* Nothing is left behind by a start that failed: not even the exit is recorded. */
static _Noreturn void give_up_start(const struct failure *failure) {
	/* What a runtime's program said is told with the failure: it is no output of the container. */
	if (!monitor.io.held) stdio_drain(&monitor.io);
	close_door();
	cgroup_kill(&monitor.start.cgroup); /* what a runtime's program or a hook has started */
	for (int i = 0; i < 200 && !cgroup_remove(&monitor.start.cgroup); i++) usleep(2000);
	monitor.slot->recorded = true;
	if (monitor.control && monitor.owes) {
		struct frame f;
		send_start_failed(&f, monitor.owed, failure);
		fcntl(monitor.control->source.fd, F_SETFL, 0); /* blocking: these are its last words */
		control_send(&f);
	}
	exit(0);
}

static _Noreturn void give_up_setup(uint32_t setup_index) {
	give_up_start(&(struct failure){PHASE_MONITOR, setup_index, (uint32_t)errno, DETAIL_NONE, ""});
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so count from its last parenthesis. */
static uint64_t start_ticks(pid_t pid) {
	char path[40], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (read_file(path, text, sizeof text) < 0) return 0;
	char *at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static void started(void) {
	monitor.state = RUNNING;
	monitor.slot->init = monitor.init.pid;
	monitor.init_pidfd = sys_pidfd_open(monitor.init.pid);
	monitor.started_ns = time_ns();
	monitor.start_ticks = start_ticks(monitor.init.pid);
	if (!monitor.control || !monitor.owes) return;
	monitor.owes = false;
	if (monitor.owes_status) return send_status(monitor.owed);
	struct frame f;
	frame_begin(&f, MSG_STARTED, monitor.owed);
	put_u32(&f, (uint32_t)monitor.init.pid);
	put_u64(&f, monitor.start_ticks);
	put_u64(&f, monitor.started_ns);
	put_u64(&f, monitor.log.size);
	put_kept(&f);
	monitor.told_size = monitor.log.size;
	control_send(&f);
}

static void init_decided(void) {
	if (monitor.init.state == PROCESS_FAILED) give_up_start(&monitor.init.failure);
	if (monitor.init.state != PROCESS_RUNNING) return;
	monitor.io.held = false;
	stdio_flow(&monitor.io);
	started();
	monitor_reap();
}

static void on_init_report(struct source *s, uint32_t events) {
	int master;
	(void)s, (void)events;
	process_read_report(&monitor.init, &master);
	tell_paused();
	if (master >= 0) stdio_set_terminal(&monitor.io, master);
	init_decided();
}

/* --- the end --- */

static void tell_log(void) {
	struct jsonlog *log = &monitor.log;
	struct frame f;
	monitor.told_size = log->size;
	monitor.told_generation = log->generation;
	monitor.told_lost = log->lost;
	monitor.next_log = loop_now() + LOG_NOTICE_MS;
	frame_begin(&f, MSG_LOG, 0);
	put_u32(&f, log->generation);
	put_u64(&f, log->size);
	put_u64(&f, log->lost);
	control_send(&f);
}

static bool log_is_news(void) {
	const struct jsonlog *log = &monitor.log;
	/* Nothing before the answer to START or CONTROL: the first frame back is that answer. */
	return monitor.control && monitor.state != STARTING && (monitor.told_size != log->size || monitor.told_generation != log->generation || monitor.told_lost != log->lost);
}

static bool tick_again(int64_t after) {
	monitor.next_tick = loop_now() + after;
	return monitor.next_tick < monitor.give_up;
}

static void finish(void) {
	monitor.state = ENDED;
	monitor.next_tick = -1;
	if (log_is_news()) tell_log();
	send_exited();
	stdio_end(&monitor.io);
}

static void on_farewell_report(struct source *s, uint32_t events) {
	int master;
	(void)s, (void)events;
	process_read_report(&monitor.farewell, &master);
}

/* What the runtime keeps of the container goes by its own program. */
static void spawn_farewell(void) {
	static struct plan plan;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), stdio[3] = {null, null, null};
	if (null >= 0 && plan_parse(monitor.plan.farewell.at, monitor.plan.farewell.count, &plan))
		process_spawn(&monitor.farewell, &plan, stdio, -1, on_farewell_report);
	close_quietly(null);
}

static void record_exit(void) {
	struct slot *slot = monitor.slot;
	stdio_drain(&monitor.io);
	monitor.oom_killed = cgroup_oom_killed(&monitor.start.cgroup);
	exit_record(monitor.start.exit_file, slot->code, slot->at_ns, monitor.oom_killed, "");
	slot->recorded = true;
	monitor.state = PARTING;
	monitor.give_up = loop_now() + monitor.plan.patience_ms;
	if (monitor.plan.farewell.count) spawn_farewell();
}

static bool has_parted(void) {
	struct process *p = &monitor.farewell;
	if (p->state == PROCESS_NONE || p->state == PROCESS_FAILED || process_reap(p)) return true;
	if (tick_again(2)) return false;
	if (p->pid > 0) kill(-p->pid, SIGKILL);
	return true;
}

static void ending_tick(void) {
	if (monitor.state == ENDING) {
		bool alive = !cgroup_empty(&monitor.start.cgroup);
		if (alive) cgroup_kill(&monitor.start.cgroup);
		for (struct exec *e = monitor.execs; e; e = e->next) alive |= !e->ended;
		if (alive && tick_again(1)) return;
		record_exit();
	}
	if (monitor.state == PARTING) {
		if (!has_parted()) return;
		monitor.state = REMOVING;
		monitor.give_up = loop_now() + REMOVING_MS;
	}
	if (monitor.state == REMOVING && (cgroup_remove(&monitor.start.cgroup) || !tick_again(2))) finish();
}

static bool is_ours(pid_t pid) {
	for (struct exec *e = monitor.execs; e; e = e->next)
		if (e->process.pid == pid || e->process.taken == pid || e->process.middle == pid) return true;
	return monitor.init.pid == pid || monitor.init.taken == pid || monitor.farewell.pid == pid;
}

/* A child that looks like a stranger may be the process that a runtime's program is about to name. */
static bool awaits_process(void) {
	bool awaits = monitor.init.state == PROCESS_STARTING || monitor.init.state == PROCESS_HELPED;
	for (struct exec *e = monitor.execs; e; e = e->next) awaits |= e->process.state == PROCESS_STARTING || e->process.state == PROCESS_HELPED;
	return awaits;
}

void monitor_reap(void) {
	if (process_help(&monitor.init)) init_decided();
	for (struct exec *e = monitor.execs, *next; e; e = next) {
		next = e->next;
		if (process_help(&e->process)) exec_decided(e);
	}
	for (struct exec *e = monitor.execs; e; e = e->next)
		if (process_reap(&e->process)) exec_ended(e);
	if (*monitor.plan.pid_file && !awaits_process()) takeover_reap(is_ours);
	if (process_reap(&monitor.init)) {
		monitor.slot->code = process_code(&monitor.init);
		monitor.slot->at_ns = time_ns();
		monitor.slot->reaped = true;
		monitor.slot->init = 0;
		monitor.state = ENDING;
		monitor.give_up = loop_now() + ENDING_MS;
		monitor.next_tick = 0;
	}
	if (monitor.state == ENDING) monitor.next_tick = 0;
}

static void on_signal(struct source *s, uint32_t events) {
	struct signalfd_siginfo info;
	(void)events;
	while (read(s->fd, &info, sizeof info) > 0) {}
	monitor_reap();
}

/* --- setting up --- */

static void open_signals(void) {
	sigset_t set;
	reset_signals();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	loop_add(&monitor.signals, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), EPOLLIN, on_signal);
}

static void start_init(void) {
	int child[3];
	uint32_t wants = ATTACH_STDOUT | ATTACH_STDERR | (monitor.start.stdin_mode == STDIN_NULL ? 0 : ATTACH_STDIN);
	monitor.io.input_ends = monitor.start.stdin_mode == STDIN_ONCE;
	if (stdio_open(&monitor.io, monitor.start.terminal ? 0 : wants, child)) give_up_setup(SETUP_PIPES);
	/* The processes that a runtime's program leaves behind become children of ours. */
	if (*monitor.plan.pid_file) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	monitor.io.held = *monitor.plan.pid_file;
	process_spawn(&monitor.init, &monitor.plan, child, -1, on_init_report);
	for (int i = 0; i < 3; i++) close(child[i]);
	if (monitor.init.state == PROCESS_FAILED) give_up_start(&monitor.init.failure);
	/* In set-up already: a dead monitor's half-made container is killed by it. A joined one is known when it runs. */
	monitor.slot->init = monitor.init.pid;
}

uint32_t attachable(void) {
	uint32_t all = ATTACH_STDIN | ATTACH_STDOUT | ATTACH_STDERR;
	return monitor.start.stdin_mode == STDIN_NULL ? all & ~(uint32_t)ATTACH_STDIN : all;
}

static int64_t earlier(int64_t a, int64_t b) { return a < 0 ? b : b < 0 || a < b ? a : b; }

static void one_round(void) {
	int64_t deadline = earlier(monitor.next_tick, stdio_deadline(&monitor.io));
	int64_t help = takeover_deadline(&monitor.init);
	for (struct exec *e = monitor.execs; e; e = e->next) {
		deadline = earlier(deadline, stdio_deadline(&e->io));
		help = earlier(help, takeover_deadline(&e->process));
	}
	if (log_is_news()) deadline = earlier(deadline, monitor.next_log);
	loop_run(earlier(deadline, help));
	if (help >= 0 && help <= loop_now()) monitor_reap();
	if (stdio_deadline(&monitor.io) >= 0) stdio_tick(&monitor.io);
	for (struct exec *e = monitor.execs; e; e = e->next)
		if (stdio_deadline(&e->io) >= 0) stdio_tick(&e->io);
	if (monitor.next_tick >= 0 && monitor.next_tick <= loop_now()) ending_tick();
	if (log_is_news() && loop_now() >= monitor.next_log) tell_log();
	execs_sweep();
}

void monitor_main(struct slot *slot, int control, uint32_t request, const struct attachment *attachments, const uint8_t *rest, size_t length) {
	struct cursor c = {.at = slot->bytes, .end = slot->bytes + slot->length}, after = {.at = rest, .end = rest + length};
	struct list keep;
	char name[32];
	monitor.slot = slot;
	monitor.init_pidfd = monitor.listener.fd = -1;
	monitor.next_tick = -1;
	monitor.owed = request;
	monitor.owes = true;
	start_take(&c, &monitor.start);
	prctl(PR_SET_NAME, "gantry-monitor", 0, 0, 0);
	loop_open();
	open_signals();
	control_adopt(control);
	monitor.io.input.fd = monitor.io.outlet[0].source.fd = monitor.io.outlet[1].source.fd = -1;
	monitor.plan.pid_file = "";
	if (!kept_list(&after, &keep) || !plan_parse(after.at, (size_t)(after.end - after.at), &monitor.plan)) errno = EBADMSG, give_up_setup(SETUP_PLAN);
	if ((errno = kept_replace(keep, control))) give_up_setup(SETUP_KEEP);
	socket_name(name, monitor.start.id);
	int listener = listen_unix(name);
	if (listener < 0) give_up_setup(SETUP_SOCKET);
	loop_add(&monitor.listener, listener, EPOLLIN, on_listener);
	monitor.log.path = monitor.start.log_path;
	monitor.log.max_size = monitor.start.log_max_size;
	monitor.log.max_files = monitor.start.log_max_files;
	if (*monitor.start.log_path) {
		if (jsonlog_open(&monitor.log)) give_up_setup(SETUP_LOG);
		monitor.io.log = &monitor.log;
	}
	monitor.io.terminal = monitor.io.awaits_terminal = monitor.start.terminal;
	for (uint32_t i = 0; i < monitor.start.attachments; i++) {
		send_attached(attachments[i].fd, attachments[i].request);
		stdio_attach(&monitor.io, attachments[i].fd, attachments[i].wants & attachable(), false);
	}
	start_init();
	/* A plan without a runtime's program has done its part. */
	if (!*monitor.plan.pid_file) free((void *)(uintptr_t)rest), monitor.plan = (struct plan){.pid_file = ""};
	while (monitor.state != ENDED || !monitor.released || monitor.io.clients || monitor.execs || (monitor.control && monitor.control->out_length))
		one_round();
	exit(0);
}
