/*
 * The three streams of one process: from its pipes or terminal to the log and to clients, and from clients to its stdin.
 *
 *   stdout, stderr ──read 32 KiB──▶ log ──▶ every client: what its socket does not take is kept, and nothing more is read until all of it is gone
 *
 * So a client attached before the start pushes back on the process without limit. One attached later gets a socket buffer of 1 MiB, and when it stays
 * full for 10 s it is cut with an error text. When the process has ended, the pipes are emptied at once and what clients have not taken waits in memory.
 */
#ifndef GANTRY_STREAMS_H
#define GANTRY_STREAMS_H
#include "jsonlog.h"
#include "loop.h"

struct client {
	struct source source;
	struct client *next;
	struct stdio *io;
	uint32_t wants; /* ATTACH_* */
	bool late, input_ended;
	int64_t stuck_since; /* 0: not stuck */
	uint8_t *pending;
	size_t at, length;
};

struct outlet {
	struct source source;
	struct stdio *io;
	uint8_t stream; /* 1 stdout, 2 stderr */
};

struct stdio {
	bool terminal, awaits_terminal, ended;
	bool held; /* nothing is read yet: its client comes when it is started */
	bool input_ends; /* the first client's half-close ends the process's stdin */
	bool input_closing;
	struct source input;
	struct outlet outlet[2];
	struct client *clients;
	uint8_t *left; /* of stdin, when the process does not read */
	size_t left_at, left_length;
	int64_t look_again; /* a terminal without any opener reads as an error until somebody opens it again; 0: not so */
	struct jsonlog *log; /* NULL: none */
};

/* Opens pipes for what is wanted (ATTACH_*) and /dev/null for the rest; `child` gets the child's ends. */
int stdio_open(struct stdio *io, uint32_t wants, int child[3]);
void stdio_set_terminal(struct stdio *io, int master);
/* `fd` becomes a client; it belongs to stdio from now on, whatever happens. */
void stdio_attach(struct stdio *io, int fd, uint32_t wants, bool late);
/* Looks at everything again: what may be read, what must be written. */
void stdio_flow(struct stdio *io);
void stdio_close_input(struct stdio *io);
/* The process has ended: takes what the pipes still hold and closes them. */
void stdio_drain(struct stdio *io);
/* Lets clients go, each as soon as it has everything. */
void stdio_end(struct stdio *io);
int64_t stdio_deadline(const struct stdio *io); /* -1: none */
void stdio_tick(struct stdio *io);
int stdio_resize(struct stdio *io, uint32_t rows, uint32_t columns);

#endif
