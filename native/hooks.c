/*
 * Programs that have their say before the process is started (OCI hooks), and the place in the plan where the daemon runs those of its own namespaces.
 *
 *   child ──fork──▶ hook: a session of its own, the state of the container as its stdin, its output into a pipe of ours
 *                     ├─ of the host's (createContainer): exec, with our rights
 *                     └─ confined (startContainer): the rest of the plan, as the process itself would have it, up to the exec of the hook instead
 */
#include "files.h"
#include "loop.h"
#include "protocol.h"
#include "setup.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* The hook's last words go along with its failure. False: there will be no more. */
static bool hear(int output) {
	char piece[512];
	ssize_t n = read(output, piece, sizeof piece);
	if (n <= 0) return n < 0 && errno == EINTR;
	size_t had = strlen(setup.said), size = sizeof setup.said - 1, length = (size_t)n;
	size_t over = had + length > size ? had + length - size : 0;
	for (size_t i = 0; i < length; i++)
		if (!piece[i]) piece[i] = ' ';
	memmove(setup.said, setup.said + over, had - over);
	memcpy(setup.said + had - over, piece, length);
	setup.said[had - over + length] = 0;
	return true;
}

/* The state, with our pid as the container sees it. In memory: a hook that does not read it holds nobody up. */
static int state_file(const struct step *s) {
	int fd = memfd_create("state", MFD_CLOEXEC);
	if (fd >= 0 && (dprintf(fd, "%s%d%s", s->text[2], (int)getpid(), s->text[3]) < 0 || lseek(fd, 0, SEEK_SET))) {
		close_quietly(fd);
		return -1;
	}
	return fd;
}

/* In a container with a user namespace what a hook makes belongs to the container's root, who has no rights of ours: they are kept by the ambient set. */
static int own_as_container(void) {
	struct kernel_cap_header header = {.version = 0x20080522};
	struct kernel_cap_data data[2];
	if (setup.user_namespace < 0) return 0;
	if (syscall(SYS_setresgid, setup.owner, setup.owner, setup.owner) || syscall(SYS_setresuid, setup.owner, setup.owner, setup.owner)) return -1;
	if (syscall(SYS_capget, &header, data)) return -1;
	uint64_t all = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return step_capabilities(&(struct step){.number = {all, all, all, all}});
}

static int become_hook(const struct step *s, int state, int output) {
	static struct step own;
	own = *s;
	setup.hook = &own;
	setsid();
	if (dup2(state, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) return -1;
	if (s->number[0]) return 0;
	return chdir(s->text[1]) || own_as_container() ? -1 : step_exec(s);
}

/* Nothing of it is left when it has ended: neither what is in its group nor, where the container has pids of its own, anything else. */
static int await_hook(pid_t pid, int output, int64_t deadline) {
	struct pollfd polls[] = {{.fd = sys_pidfd_open(pid), .events = POLLIN}, {.fd = output, .events = POLLIN}};
	int status = 0, error = polls[0].fd < 0 ? errno : 0;
	while (!error && !polls[0].revents) {
		int64_t left = deadline - loop_now();
		if (left <= 0) error = ETIMEDOUT;
		else if (poll(polls, 2, (int)left) < 0 && errno != EINTR) error = errno;
		else if (polls[1].revents && !hear(output)) polls[1].fd = -1;
	}
	kill(pid, SIGKILL); /* it may not lead its group yet */
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (getpid() == 1 && kill(-1, SIGKILL) == 0)
		while (waitpid(-1, NULL, 0) > 0) {}
	while (hear(output)) {}
	close_quietly(polls[0].fd);
	if (!error && status) setup.detail = DETAIL_HOOK, error = status;
	errno = error;
	return error ? -1 : 0;
}

int step_hook(const struct step *s) {
	int output[2];
	if (setup.hook) return 0; /* we are one */
	int state = state_file(s);
	if (state < 0) return -1;
	if (pipe2(output, O_CLOEXEC)) {
		close_quietly(state);
		return -1;
	}
	*setup.said = 0;
	pid_t pid = fork();
	if (pid == 0) return become_hook(s, state, output[1]);
	close_quietly(state);
	close_quietly(output[1]);
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	int result = pid < 0 ? -1 : await_hook(pid, output[0], loop_now() + (int64_t)s->number[1]);
	close_quietly(output[0]);
	return result;
}

int step_checkpoint(const struct step *s) {
	char go;
	(void)s;
	if (report_pause()) return -1;
	if (read(setup.report, &go, 1) == 1) return 0;
	errno = ECANCELED;
	return -1;
}
