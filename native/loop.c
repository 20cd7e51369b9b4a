#include "loop.h"
#include <stdlib.h>
#include <time.h>

static int epoll_fd = -1;
static struct epoll_event batch[32];
static int batch_length;

void loop_open(void) {
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0) abort();
}

void loop_add(struct source *s, int fd, uint32_t events, void (*ready)(struct source *, uint32_t)) {
	*s = (struct source){.fd = fd, .events = LOOP_PAUSED, .ready = ready};
	loop_want(s, events);
}

void loop_want(struct source *s, uint32_t events) {
	if (s->fd < 0 || s->events == events) return;
	s->events = events;
	struct epoll_event event = {.events = events, .data.ptr = s};
	if (events == LOOP_PAUSED) {
		if (s->registered) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
		s->registered = false;
		return;
	}
	if (epoll_ctl(epoll_fd, s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event)) abort();
	s->registered = true;
}

int loop_forget(struct source *s) {
	int fd = s->fd;
	if (fd < 0) return -1;
	loop_want(s, LOOP_PAUSED);
	for (int i = 0; i < batch_length; i++)
		if (batch[i].data.ptr == s) batch[i].data.ptr = NULL;
	s->fd = -1;
	return fd;
}

void loop_close(struct source *s) {
	int fd = loop_forget(s);
	if (fd >= 0) close(fd);
}

int64_t loop_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void loop_run(int64_t deadline) {
	int64_t left = deadline < 0 ? -1 : deadline - loop_now();
	if (deadline >= 0 && left < 0) left = 0;
	int n = epoll_wait(epoll_fd, batch, 32, left > 60000 ? 60000 : (int)left);
	for (batch_length = n < 0 ? 0 : n, n = 0; n < batch_length; n++) {
		struct source *s = batch[n].data.ptr;
		if (s && s->fd >= 0) s->ready(s, batch[n].events);
	}
	batch_length = 0;
}
