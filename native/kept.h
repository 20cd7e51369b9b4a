/* Descriptors that the monitor keeps for the daemon (src/linux/kept-descriptor.ts), so that they outlive it. Nothing of the container ever has them: they are
 * close-on-exec, and every child closes all but its own first. */
#ifndef GANTRY_KEPT_H
#define GANTRY_KEPT_H
#include "wire.h"

/* Checks all of it (u32 count, each text label, u32 number), so that the walk in kept_replace cannot fail. */
bool kept_list(struct cursor *c, struct list *list);
/* The whole new set: a label already kept stays what it is, a new one is pulled from the process at the other end of `connection`, one no longer listed is
 * closed. All or nothing; 0 or the errno. */
int kept_replace(struct list list, int connection);
/* u32 our pid, u32 count, each text label, u32 number (here). */
void put_kept(struct frame *f);
/* In a child: the limit on descriptors that the monitor had before it kept so many. */
void kept_restore_limit(void);

#endif
