#include "kept.h"
#include "files.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define OTHER_DESCRIPTORS 256

struct kept {
	char *label;
	int fd;
	bool stays; /* while a set is replaced: in the new one too */
};
static struct kept *all;
static uint32_t count;
static struct rlimit before;
static bool raised;

/* More than the limit allows is asked for with many published ports. What cannot be had shows as EMFILE when it is needed. */
static void make_room(rlim_t descriptors) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= descriptors) return;
	if (!raised) before = limit;
	raised = true;
	limit.rlim_cur = descriptors;
	if (limit.rlim_max < descriptors) limit.rlim_max = descriptors;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
	limit.rlim_cur = limit.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void kept_restore_limit(void) {
	if (raised) setrlimit(RLIMIT_NOFILE, &before);
}

/* Both sides usually have the same order, so the search goes on where the last one ended. */
static struct kept *find(const char *label, uint32_t *from) {
	for (uint32_t i = 0; i < count; i++) {
		struct kept *k = &all[(*from + i) % count];
		if (strcmp(k->label, label)) continue;
		*from = (uint32_t)(k - all) + 1;
		return k;
	}
	return NULL;
}

static int open_peer(int connection) {
	struct ucred peer;
	socklen_t length = sizeof peer;
	return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) ? -1 : sys_pidfd_open(peer.pid);
}

static void forget(struct kept *set, uint32_t n, bool closing) {
	for (uint32_t i = 0; i < n; i++) {
		if (closing && !set[i].stays) close_quietly(set[i].fd);
		free(set[i].label);
	}
	free(set);
}

bool kept_list(struct cursor *c, struct list *list) {
	*list = (struct list){.count = take_u32(c)};
	list->at = c->at;
	for (uint32_t i = 0; i < list->count && !c->bad; i++) {
		take_text(c);
		take_u32(c);
	}
	list->end = c->at;
	return !c->bad;
}

int kept_replace(struct list list, int connection) {
	struct cursor c = list_cursor(list);
	struct kept *set = calloc(list.count + (size_t)1, sizeof *set);
	uint32_t n = 0, from = 0;
	int peer = -1, error = 0;
	if (!set) abort();
	make_room((rlim_t)list.count + count + OTHER_DESCRIPTORS);
	for (; n < list.count && !error; n++) {
		const char *label = take_text(&c);
		int fd = (int)take_u32(&c);
		struct kept *known = find(label, &from);
		if (!known && peer < 0) peer = open_peer(connection);
		set[n] = (struct kept){.label = strdup(label), .fd = known ? known->fd : sys_pidfd_getfd(peer, fd), .stays = known};
		if (!set[n].label) abort();
		if (set[n].fd < 0) error = errno;
		if (known && known->stays) error = EEXIST;
		if (known) known->stays = true;
	}
	close_quietly(peer);
	if (error) {
		forget(set, n, true);
		for (uint32_t i = 0; i < count; i++) all[i].stays = false;
		return error;
	}
	forget(all, count, true);
	all = set;
	count = n;
	for (uint32_t i = 0; i < count; i++) all[i].stays = false;
	return 0;
}

void put_kept(struct frame *f) {
	put_u32(f, (uint32_t)getpid());
	put_u32(f, count);
	for (uint32_t i = 0; i < count; i++) {
		put_text(f, all[i].label);
		put_u32(f, (uint32_t)all[i].fd);
	}
}
