/* Small deeds on files and descriptors, shared by launcher and monitor. */
#ifndef GANTRY_FILES_H
#define GANTRY_FILES_H
#include "kernel.h"

/* open(O_WRONLY|flags) and one write; 0 or -1 with errno. */
int write_file(const char *path, const char *data, int flags);
/* Leaves errno alone; -1 is nothing to close. */
void close_quietly(int fd);
/* Reads at most size - 1 bytes and adds a NUL; -1 with errno. */
ssize_t read_file(const char *path, char *buffer, size_t size);
/* Closes every descriptor from 3 on that is not in `keep` (-1 entries are skipped). */
void close_all_but(int *keep, size_t count);
/* Default dispositions, nothing blocked. */
void reset_signals(void);
uint64_t time_ns(void); /* since 1970 */

/* The exit file: one line of JSON, written aside and renamed, so that it is there wholly or not at all. */
int exit_record(const char *path, uint32_t code, uint64_t at_ns, bool oom_killed, const char *note);

#endif
