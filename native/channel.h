/* A connection that speaks frames. It reads exactly one frame at a time and never a byte beyond it, because the bytes after a first frame may belong to another
 * process (a START's to the monitor) or be raw (an ATTACH's). */
#ifndef GANTRY_CHANNEL_H
#define GANTRY_CHANNEL_H
#include "loop.h"
#include "protocol.h"
#include "wire.h"

struct channel {
	struct source source;
	struct frame_header header;
	uint8_t *payload;
	uint8_t head[FRAME_HEADER];
	uint32_t got; /* bytes of header and payload so far */
	uint8_t *out;
	size_t out_length;
};

enum { CHANNEL_WAIT, CHANNEL_FRAME, CHANNEL_CLOSED };
int channel_read(struct channel *c);
/* The received payload; valid until channel_next. */
struct cursor channel_payload(struct channel *c);
void channel_next(struct channel *c);
/* Queues what the socket does not take; false when the peer is gone or let 1 MiB pile up. Frees the frame. */
bool channel_send(struct channel *c, struct frame *f);
bool channel_flush(struct channel *c);
bool channel_reply(struct channel *c, uint32_t request, int error); /* OK, or ERROR with the errno */
void channel_close(struct channel *c);

int listen_unix(const char *path);
/* A connection of our own user, or -1. */
int accept_peer(int listener);

#endif
