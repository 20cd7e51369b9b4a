/*
 * gantry-init [--] PROGRAM [ARGUMENT]... : process 1 of a container that was asked for with --init, as /sbin/docker-init.
 *
 * Runs the program as its child, in a process group of its own that has the terminal, passes every signal on to it, and reaps whatever is orphaned. Ends with
 * the program: its exit code, or 128+n when a signal ended it; 126 and 127 when it cannot be run.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Told by the kernel to whoever made the mistake: they must not wait in a mask. */
static const int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};
/* A background process that touches the terminal would stop; process 1 must not. */
static const int terminal[] = {SIGTTIN, SIGTTOU};

static _Noreturn void run(char **argv, const sigset_t *before) {
	setpgid(0, 0);
	tcsetpgrp(0, getpgrp()); /* no terminal: nothing to have */
	for (size_t i = 0; i < sizeof terminal / sizeof *terminal; i++) signal(terminal[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, before, NULL);
	execvp(argv[0], argv);
	int code = errno == ENOENT || errno == ENOTDIR ? 127 : 126;
	fprintf(stderr, "[FATAL gantry-init (%d)] exec %s failed: %s\n", (int)getpid(), argv[0], strerror(errno));
	_exit(code);
}

/* -1: the program runs on. */
static int reap(pid_t program) {
	int status, code = -1;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		if (pid == program) code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return code;
}

int main(int argc, char **argv) {
	int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
	if (argc <= first) return fprintf(stderr, "usage: gantry-init [--] PROGRAM [ARGUMENT]...\n"), 2;
	sigset_t all, before;
	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
	for (size_t i = 0; i < sizeof terminal / sizeof *terminal; i++) {
		sigdelset(&all, terminal[i]);
		signal(terminal[i], SIG_IGN);
	}
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t program = fork();
	if (program < 0) return perror("gantry-init: fork"), 126;
	if (program == 0) run(argv + first, &before);
	for (int code = -1; code < 0;) {
		int number = sigwaitinfo(&all, NULL);
		if (number == SIGCHLD) code = reap(program);
		else if (number > 0) kill(program, number); /* gone: its SIGCHLD is on its way */
		if (code >= 0) return code;
	}
}
