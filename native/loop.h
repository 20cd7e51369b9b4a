/* The event loop: one epoll instance per process. A source is embedded in its owner, which may be freed right after loop_close, even by another source's handler. */
#ifndef GANTRY_LOOP_H
#define GANTRY_LOOP_H
#include "kernel.h"
#include <sys/epoll.h>

struct source {
	int fd; /* -1: closed */
	bool registered;
	uint32_t events;
	void (*ready)(struct source *source, uint32_t events);
};
/* Not watched at all: even a hang-up would otherwise be reported over and over. */
#define LOOP_PAUSED 0xffffffffu

#define OWNER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

void loop_open(void);
void loop_add(struct source *s, int fd, uint32_t events, void (*ready)(struct source *, uint32_t));
void loop_want(struct source *s, uint32_t events);
int loop_forget(struct source *s); /* gives the descriptor back */
void loop_close(struct source *s);
/* One round; `deadline` in loop_now() time, -1: none. */
void loop_run(int64_t deadline);
int64_t loop_now(void); /* milliseconds, monotonic */

#endif
